class Replica:
    """Reads go to the replica, which does not see what an open transaction of the writer has written."""

    def db_for_read(self, model, **hints):
        return "default" if hints.get("instance") else "replica"

    def db_for_write(self, model, **hints):
        return "default"

    def allow_relation(self, one, other, **hints):
        return True

    def allow_migrate(self, db, app_label, **hints):
        return db == "default"
