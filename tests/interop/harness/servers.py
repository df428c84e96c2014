"""The three nodes that a client's program meets: a primary, its replica, and one that wants a password."""
import contenders
import rivals
from progress import wait_for

PASSWORD = "secret"


class Trio:
    def __init__(self, rival, title):
        self.rival, self.title = rival, title
        self.group = contenders.Group()

    def __enter__(self):
        cpus = ",".join(map(str, sorted(contenders.os.sched_getaffinity(0))))
        try:
            self.primary, self.replica, self.locked = (
                self.group.start(self.rival, workers=2, cpus=cpus, name=f"interop-{self.title}-{role}") for role in ("primary", "replica", "locked"))
            self.replica.ask("REPLICAOF", "127.0.0.1", self.primary.port)
            self.locked.ask("CONFIG", "SET", "requirepass", PASSWORD)
            wait_for("the replica follows the primary", lambda: self.replica.info("replication").get("master_link_status") == "up", 30)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.group.__exit__()

    def ports(self):
        return {"PRIMARY": str(self.primary.port), "REPLICA": str(self.replica.port), "LOCKED": str(self.locked.port)}

    def ended(self):
        """A sentence for each server that no longer runs."""
        return [sentence for sentence in map(rivals.ended, self.group.servers) if sentence]
