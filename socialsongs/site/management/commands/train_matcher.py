from socialsongs.site.short_names import command

Command = command("socialsongs_train_matcher")
