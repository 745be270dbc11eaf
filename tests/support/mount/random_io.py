"""Random reading and writing of a file on a mount beside the same on a plain file, which have to stay the same.

`random_io.py MOUNTED PLAIN SEED OPERATIONS` ends with 1 and the last operations when they differ.
"""
import collections, mmap, os, random, sys

SIZE_MAX = 300_000
LENGTH_MAX = 40_000


class Side:
    """One of the two files, with a second descriptor and a mapping that outlive single operations."""

    def __init__(self, path):
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT)

    def size(self):
        return os.fstat(self.fd).st_size

    def read(self, offset, length):
        return os.pread(self.fd, length, offset)

    def write(self, offset, data):
        return os.pwrite(self.fd, data, offset)

    def append(self, data):
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        try:
            return os.write(fd, data)
        finally:
            os.close(fd)

    def truncate(self, size):
        os.ftruncate(self.fd, size)

    def truncate_path(self, size):
        os.truncate(self.path, size)

    def map_read(self, offset, length):
        with mmap.mmap(self.fd, 0, prot=mmap.PROT_READ) as memory:
            return memory[offset : offset + length]

    def map_write(self, offset, data):
        with mmap.mmap(self.fd, 0) as memory:
            data = data[: max(0, len(memory) - offset)]
            memory[offset : offset + len(data)] = data
            return len(data)

    def allocate(self, offset, length):
        os.posix_fallocate(self.fd, offset, length)

    def sync(self):
        os.fsync(self.fd)

    def reopen(self):
        os.close(self.fd)
        self.fd = os.open(self.path, os.O_RDWR)

    def rename(self):
        os.rename(self.path, self.path + ".moved")
        os.rename(self.path + ".moved", self.path)

    def truncating_open(self):
        os.close(os.open(self.path, os.O_WRONLY | os.O_TRUNC))

    def whole(self):
        with open(self.path, "rb") as file:
            return file.read()


def choose(numbers, size):
    """An operation and what it is given; it is the same for both files."""
    offset = numbers.randrange(SIZE_MAX - LENGTH_MAX)
    if numbers.random() < 0.3:
        offset = offset // 4096 * 4096
    length = numbers.randrange(1, LENGTH_MAX)
    kind = numbers.choices(
        ["read", "write", "append", "truncate", "truncate_path", "map_read", "map_write", "allocate", "sync", "reopen", "rename", "truncating_open", "whole"],
        [20, 20, 3, 5, 3, 15, 15, 2, 1, 3, 1, 0.3, 1],
    )[0]
    if kind in ("read",):
        return kind, (offset, length)
    if kind in ("map_read", "map_write") and size == 0:
        return "size", ()
    if kind == "map_read":
        return kind, (offset % size, length)
    if kind in ("write", "map_write"):
        return kind, (offset if kind == "write" else offset % size, numbers.randbytes(length))
    if kind == "append":
        return (kind, (numbers.randbytes(length % 5000 + 1),)) if size < SIZE_MAX else ("size", ())
    if kind in ("truncate", "truncate_path"):
        return kind, (offset,)
    if kind == "allocate":
        return kind, (offset, length)
    return kind, ()


def main():
    sides = Side(sys.argv[1]), Side(sys.argv[2])
    numbers = random.Random(int(sys.argv[3]))
    last = collections.deque(maxlen=12)
    for number in range(int(sys.argv[4])):
        kind, given = choose(numbers, sides[1].size())
        last.append(f"{number}: {kind} {[len(x) if isinstance(x, bytes) else x for x in given]}")
        found, expected = (getattr(side, kind)(*given) for side in sides)
        if found != expected or sides[0].size() != sides[1].size():
            print("\n".join(last), sides[0].size(), sides[1].size())
            sys.exit(1)
    if sides[0].whole() != sides[1].whole():
        print("they differ in the end")
        sys.exit(1)
    print("the same")


main()
