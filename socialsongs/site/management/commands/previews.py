from socialsongs.site.short_names import command

Command = command("socialsongs_previews")
