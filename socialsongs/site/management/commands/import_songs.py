from socialsongs.site.short_names import command

Command = command("socialsongs_import_songs")
