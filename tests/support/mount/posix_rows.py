"""What programs see of a file system, a row for each case: `posix_rows.py DIRECTORY PART PARTS` prints {name: lines} of every
PARTSth row as JSON.

The same rows on a mount and on a plain directory have to say the same.
"""
import ctypes, errno, fcntl, json, mmap, os, stat, sys, itertools

libc = ctypes.CDLL(None, use_errno=True)
ROWS = []
NOREPLACE, EXCHANGE = 1, 2
USER = 12345


def row(function):
    ROWS.append((function.__name__, function))


class Lines(list):
    def do(self, what, function, *args, **named):
        """Notes what a call gives, or the name of its error."""
        try:
            result = function(*args, **named)
        except OSError as error:
            result = errno.errorcode.get(error.errno, str(error.errno))
        self.append(f"{what}: {result!r}" if result is not None else f"{what}: ok")
        return result

    def show(self, path):
        self.do(f"stat {path}", describe, path)


def describe(path):
    found = os.lstat(path) if isinstance(path, (str, bytes)) else os.fstat(path)
    kind = stat.filemode(found.st_mode)
    size = found.st_size if not stat.S_ISDIR(found.st_mode) else "-"
    return f"{kind} links {found.st_nlink} owner {found.st_uid}:{found.st_gid} size {size}"


def c_call(name, *args):
    if getattr(libc, name)(*args) != 0:
        raise OSError(ctypes.get_errno(), "")


def rename2(old, new, flags):
    c_call("renameat2", -100, os.fsencode(old), -100, os.fsencode(new), flags)


def fallocate(fd, mode, offset, size):
    c_call("fallocate", fd, mode, ctypes.c_long(offset), ctypes.c_long(size))


def put(path, content=b"content"):
    with open(path, "wb") as file:
        file.write(content)


def get(path):
    with open(path, "rb") as file:
        return file.read()


def opened(path, flags, mode=0o644):
    fd = os.open(path, flags, mode)
    os.close(fd)


def make(kind, path):
    if kind == "file":
        put(path)
    elif kind == "empty" or kind == "full":
        os.mkdir(path)
        if kind == "full":
            put(path + "/child")
    elif kind == "link":
        os.symlink("nowhere", path)
    elif kind == "toFile":
        put(path + ".target")
        os.symlink(path + ".target", path)
    elif kind == "toDirectory":
        os.mkdir(path + ".target")
        os.symlink(path + ".target", path)
    elif kind == "loop":
        os.symlink(path, path)
    elif kind == "fifo":
        os.mkfifo(path)


KINDS = ["missing", "file", "empty", "full", "link", "toFile", "toDirectory", "loop", "fifo"]


def as_user(lines, function):
    """Runs a part as somebody who is not root."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(USER)
            os.setuid(USER)
            mine = Lines()
            function(mine)
            os.write(writer, json.dumps(mine).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        lines.extend(json.loads(answer.read()))
    os.waitpid(child, 0)


# ---- every operation on every kind of file

ON_ONE = {
    "chmod": lambda p: os.chmod(p, 0o751),
    "chown": lambda p: os.chown(p, 0, 0),
    "lchown": lambda p: os.lchown(p, 0, 0),
    "chown to others": lambda p: os.lchown(p, USER, USER),
    "link": lambda p: os.link(p, "other", follow_symlinks=False),
    "link through": lambda p: os.link(p + "/x", "other"),
    "mkdir": lambda p: os.mkdir(p, 0o700),
    "mkdir below": lambda p: os.mkdir(p + "/below"),
    "mkdir with slash": lambda p: os.mkdir(p + "/"),
    "mkfifo": lambda p: os.mkfifo(p, 0o640),
    "mknod": lambda p: os.mknod(p, 0o640 | stat.S_IFREG),
    "mknod socket": lambda p: os.mknod(p, 0o640 | stat.S_IFSOCK),
    "open to read": lambda p: opened(p, os.O_RDONLY | os.O_NONBLOCK),
    "open to write": lambda p: opened(p, os.O_WRONLY | os.O_NONBLOCK),
    "open to create": lambda p: opened(p, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK, 0o604),
    "open exclusively": lambda p: opened(p, os.O_WRONLY | os.O_CREAT | os.O_EXCL),
    "open and truncate": lambda p: opened(p, os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK),
    "open directory": lambda p: opened(p, os.O_RDONLY | os.O_DIRECTORY),
    "open no link": lambda p: opened(p, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK),
    "open with slash": lambda p: opened(p + "/", os.O_RDONLY),
    "readlink": lambda p: os.readlink(p),
    "rmdir": lambda p: os.rmdir(p),
    "rmdir with slash": lambda p: os.rmdir(p + "/"),
    "rmdir dot": lambda p: os.rmdir(p + "/."),
    "unlink": lambda p: os.unlink(p),
    "unlink with slash": lambda p: os.unlink(p + "/"),
    "symlink": lambda p: os.symlink("target", p),
    "truncate": lambda p: os.truncate(p, 3),
    "truncate longer": lambda p: os.truncate(p, 10_000),
    "truncate below zero": lambda p: os.truncate(p, -1),
    "utime": lambda p: os.utime(p, ns=(1_000_000_001, 2_000_000_003)),
    "utime of itself": lambda p: os.utime(p, ns=(1_000_000_001, 2_000_000_003), follow_symlinks=False),
    "listdir": lambda p: sorted(os.listdir(p)),
    "access": lambda p: [os.access(p, way) for way in (os.F_OK, os.R_OK, os.W_OK, os.X_OK)],
    "rename to itself": lambda p: os.rename(p, p),
    "rename below itself": lambda p: os.rename(p, p + "/x"),
    "rename with slash": lambda p: os.rename(p, "new/"),
    "setxattr": lambda p: os.setxattr(p, "user.key", b"value"),
    "getxattr": lambda p: os.getxattr(p, "user.none"),
}


def on_one(operation, kind):
    def run(lines):
        make(kind, "a")
        lines.do(operation, ON_ONE[operation], "a")
        for path in ["a", "a.target", "other", "new"]:
            lines.show(path)

    run.__name__ = f"{operation} of {kind}"
    row(run)


def on_two(kind, other, flags):
    def run(lines):
        make(kind, "a")
        make(other, "b")
        inodes = {path: os.lstat(path).st_ino for path in "ab" if os.path.lexists(path)}
        lines.do("rename", rename2, "a", "b", flags)
        for path in "ab":
            lines.show(path)
            now = os.lstat(path).st_ino if os.path.lexists(path) else None
            lines.append(f"{path} was {[name for name, inode in inodes.items() if inode == now]}")

    run.__name__ = f"rename {flags} of {kind} to {other}"
    row(run)


for operation, kind in itertools.product(ON_ONE, KINDS):
    on_one(operation, kind)
for kind, other in itertools.product(KINDS, KINDS):
    for flags in (0, NOREPLACE, EXCHANGE):
        on_two(kind, other, flags)


# ---- modes and users

for mode in (0o0, 0o111, 0o400, 0o644, 0o1777, 0o777):

    def modes(lines, mode=mode):
        put("f")
        os.mkdir("d")
        for path in ("f", "d"):
            lines.do("chmod", os.chmod, path, mode)
            lines.show(path)
        as_user(lines, lambda mine: (
            mine.do("read", get, "f"),
            mine.do("write", put, "f"),
            mine.do("list", os.listdir, "d"),
            mine.do("enter", os.stat, "d/none"),
            mine.do("make", os.mkdir, "d/new"),
            mine.do("chmod", os.chmod, "f", 0o777),
            mine.do("chown", os.chown, "f", USER, USER),
            mine.do("utime", os.utime, "f"),
            mine.do("utime set", os.utime, "f", ns=(1, 1)),
            mine.do("truncate", os.truncate, "f", 0),
        ))

    modes.__name__ = f"mode {mode:o}"
    row(modes)

for mask in (0, 0o22, 0o77, 0o777):

    def masked(lines, mask=mask):
        os.umask(mask)
        opened("f", os.O_CREAT | os.O_WRONLY, 0o666)
        os.mkdir("d", 0o777)
        os.mkfifo("p", 0o666)
        os.mknod("n", 0o666 | stat.S_IFREG)
        os.symlink("x", "l")
        os.umask(0o22)
        for path in "fdpnl":
            lines.show(path)

    masked.__name__ = f"umask {mask:o}"
    row(masked)


@row
def sticky_directory(lines):
    os.mkdir("d")
    os.chmod("d", 0o1777)
    put("d/f")
    as_user(lines, lambda mine: (
        mine.do("unlink", os.unlink, "d/f"),
        mine.do("rename", os.rename, "d/f", "d/g"),
    ))


@row
def owner_of_what_a_user_makes(lines):
    os.chmod(".", 0o777)
    as_user(lines, lambda mine: mine.do("make", put, "mine"))
    lines.show("mine")


@row
def set_id_bits(lines):
    put("f")
    lines.do("chmod", os.chmod, "f", 0o6755)
    lines.show("f")


@row
def set_id_bits_of_what_changes(lines):
    os.chmod(".", 0o777)
    changes = {
        "write": lambda mine, name: mine.do("write", put, name, b"new"),
        "append": lambda mine, name: mine.do("append", append, name),
        "truncate": lambda mine, name: mine.do("truncate", os.truncate, name, 3),
    }
    for bits in (0o6777, 0o6767, 0o4777, 0o2777, 0o777):
        for name, change in changes.items():
            for who in ("user", "root"):
                put(name)
                os.chmod(name, bits)
                if who == "user":
                    as_user(lines, lambda mine: change(mine, name))
                else:
                    change(lines, name)
                lines.append(f"{who} {name}")
                lines.show(name)
                os.remove(name)
        put("owned")
        os.chmod("owned", bits)
        lines.do("chown", os.chown, "owned", 0, 0)
        lines.show("owned")
        os.remove("owned")


def append(name):
    fd = os.open(name, os.O_WRONLY | os.O_APPEND)
    try:
        return os.write(fd, b"more")
    finally:
        os.close(fd)


@row
def devices(lines):
    lines.do("mknod", os.mknod, "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))


# ---- names and paths


@row
def names_of_all_lengths(lines):
    for size in (1, 254, 255, 256, 1000):
        lines.do(f"put {size}", put, "n" * size)
        lines.do(f"mkdir {size}", os.mkdir, "d" * size)
        lines.do(f"symlink {size}", os.symlink, "x", "l" * size)
        lines.do(f"rename {size}", os.rename, "n" * size, "m" * size)
    lines.append(sorted(len(name) for name in os.listdir(".")).__repr__())


@row
def names_of_any_bytes(lines):
    for name in (b"\xff\xfe", b"a\nb", b"\xc3\x28", "é".encode(), b" ", b"*", b"\\", b"...", bytes(range(1, 47))):
        lines.do(f"put {name!r}", put, name)
        lines.do(f"get {name!r}", get, name)
        lines.do("link", os.symlink, name, b"l-" + name)
        lines.do("readlink", os.readlink, b"l-" + name)
    lines.append(repr(sorted(os.listdir(b"."))))


@row
def deep_paths(lines):
    for _ in range(100):
        os.mkdir("d" * 10)
        os.chdir("d" * 10)
    put("leaf", b"deep")
    lines.do("get", get, "leaf")
    lines.do("rename", os.rename, "leaf", "moved")
    lines.show("moved")


@row
def long_targets(lines):
    for size in (1, 59, 60, 255, 4095, 4096):
        lines.do(f"symlink {size}", os.symlink, "t" * size, f"l{size}")
        lines.do("readlink", lambda: len(os.readlink(f"l{size}")))
        lines.show(f"l{size}")
    lines.do("empty", os.symlink, "", "none")


@row
def chains_of_links(lines):
    put("l0")
    for number in range(1, 45):
        os.symlink(f"l{number - 1}", f"l{number}")
    for number in (1, 39, 40, 41, 44):
        lines.do(f"{number} links", get, f"l{number}")


@row
def rename_of_directories(lines):
    os.makedirs("a/b/c")
    put("a/b/c/f")
    fd = os.open("a/b/c/f", os.O_RDONLY)
    lines.do("into itself", os.rename, "a", "a/b/a")
    lines.do("up", os.rename, "a/b", "b")
    lines.do("get", get, "b/c/f")
    lines.do("open file", os.read, fd, 100)
    lines.do("over full", os.rename, "a", "b")
    lines.do("over empty", os.rename, "b", "a")
    lines.do("get", get, "a/c/f")
    for path in (".", "a", "a/c"):
        lines.show(path)
    lines.do("dot", os.rename, "a/.", "x")
    lines.do("dots", os.rename, "a/..", "x")
    lines.do("exchange with below", rename2, "a", "a/c", EXCHANGE)
    lines.do("both flags", rename2, "a", "z", NOREPLACE | EXCHANGE)


@row
def hard_links(lines):
    put("a", b"one")
    os.link("a", "b")
    put("b", b"other")
    lines.do("get", get, "a")
    lines.append(repr(os.stat("a").st_ino == os.stat("b").st_ino))
    lines.show("a")
    lines.do("rename", os.rename, "a", "b")
    lines.show("a")
    lines.show("b")
    os.mkdir("d")
    os.link("a", "d/c")
    os.unlink("a")
    os.rename("d/c", "a")
    lines.do("get", get, "a")
    os.unlink("a")
    lines.show("b")
    lines.do("of directory", os.link, "d", "e")
    lines.do("over", os.link, "b", "d")
    for number in range(100):
        os.link("b", f"many{number}")
    lines.show("b")
    for number in range(100):
        os.unlink(f"many{number}")
    lines.show("b")


@row
def directories_links(lines):
    for number in range(5):
        os.mkdir(f"d{number}")
    lines.show(".")
    os.mkdir("d1/x")
    os.rename("d1/x", "d2/x")
    for path in ("d1", "d2"):
        lines.show(path)
    os.rmdir("d0")
    lines.show(".")


# ---- content


@row
def open_files_that_are_removed(lines):
    fd = os.open("f", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"kept")
    os.unlink("f")
    lines.show(fd)
    lines.do("read", os.pread, fd, 10, 0)
    lines.do("write", os.pwrite, fd, b"more", 4)
    lines.do("truncate", os.ftruncate, fd, 6)
    lines.do("chmod", os.fchmod, fd, 0o600)
    lines.do("utime", os.utime, fd, ns=(5, 6))
    put("f", b"new")
    lines.do("read", os.pread, fd, 10, 0)
    lines.show(fd)
    lines.do("new", get, "f")
    other = os.open("g", os.O_RDWR | os.O_CREAT)
    os.write(other, b"g")
    os.rename("f", "g")
    lines.do("replaced", os.pread, other, 10, 0)
    lines.show(other)


@row
def removed_directories(lines):
    os.mkdir("d")
    os.chdir("d")
    os.rmdir("../d")
    lines.do("list", os.listdir, ".")
    lines.do("make", put, "f")
    lines.do("mkdir", os.mkdir, "x")
    lines.do("stat", lambda: os.stat(".").st_nlink)


@row
def appending(lines):
    put("f", b"begin")
    one = os.open("f", os.O_WRONLY | os.O_APPEND)
    two = os.open("f", os.O_WRONLY | os.O_APPEND)
    for fd, text in ((one, b"1"), (two, b"22"), (one, b"333")):
        os.write(fd, text)
    lines.do("get", get, "f")
    os.truncate("f", 2)
    os.write(one, b"end")
    lines.do("get", get, "f")
    lines.do("pwrite", os.pwrite, two, b"!", 0)
    lines.do("get", get, "f")


@row
def reading_what_is_only_written(lines):
    fd = os.open("f", os.O_WRONLY | os.O_CREAT, 0o200)
    lines.do("write", os.write, fd, b"a" * 5000)
    lines.do("in the middle", os.pwrite, fd, b"b", 4097)
    lines.do("read", os.read, fd, 1)
    lines.show("f")
    os.chmod("f", 0)
    fd = os.open("f", os.O_RDONLY)
    lines.do("write", os.write, fd, b"x")


@row
def sizes(lines):
    put("f", b"x" * 5000)
    for size in (4096, 0, 1, 100_000, 4097):
        lines.do(f"truncate {size}", os.truncate, "f", size)
        content = get("f")
        lines.append(f"{len(content)} {content.count(b'x')} {content.count(0)}")
    lines.do("far", lambda: os.pwrite(os.open("f", os.O_WRONLY), b"end", 50_000_000))
    lines.show("f")
    lines.do("end", lambda: os.pread(os.open("f", os.O_RDONLY), 10, 49_999_998))


@row
def holes(lines):
    fd = os.open("f", os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, b"x" * 4096, 1 << 20)
    os.ftruncate(fd, 2 << 20)
    for offset in (0, 4096, 1 << 20, (1 << 20) + 5000, (2 << 20) - 1, 2 << 20):
        lines.do(f"data from {offset}", os.lseek, fd, offset, os.SEEK_DATA)
        lines.do(f"hole from {offset}", os.lseek, fd, offset, os.SEEK_HOLE)


@row
def allocating(lines):
    fd = os.open("f", os.O_RDWR | os.O_CREAT)
    lines.do("allocate", fallocate, fd, 0, 0, 10_000)
    lines.show(fd)
    lines.do("more", fallocate, fd, 0, 5_000, 10_000)
    lines.show(fd)
    lines.do("none", fallocate, fd, 0, 0, 0)
    lines.do("below zero", fallocate, fd, 0, -1, 10)
    lines.do("read only", lambda: fallocate(os.open("f", os.O_RDONLY), 0, 0, 10))


@row
def allocating_in_other_ways(lines):
    fd = os.open("f", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"x" * 20_000)
    lines.do("beyond the end", fallocate, fd, 1, 0, 100_000)
    lines.show(fd)
    lines.do("hole", fallocate, fd, 3, 4096, 4096)
    lines.append(repr(get("f").count(0)))
    lines.do("zeros", fallocate, fd, 0x10, 8192, 4096)
    lines.append(repr(get("f").count(0)))
    lines.do("out of the middle", fallocate, fd, 8, 0, 4096)
    lines.show(fd)


@row
def mapped_files(lines):
    put("f", b"x" * 10_000)
    fd = os.open("f", os.O_RDWR)
    with mmap.mmap(fd, 10_000) as memory:
        memory[5_000:5_005] = b"hello"
        lines.do("read", os.pread, fd, 7, 4_999)
        os.pwrite(fd, b"written", 100)
        lines.append(repr(memory[98:110]))
        memory.flush()
    lines.append(repr(get("f")[4_998:5_008]))
    with mmap.mmap(fd, 0, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE) as memory:
        lines.append(repr(memory[5_000:5_005]))
    lines.show(fd)


@row
def large_content(lines):
    content = os.urandom(5_000_000)
    put("f", content)
    lines.append(repr(get("f") == content))
    fd = os.open("f", os.O_RDONLY)
    lines.append(repr(os.pread(fd, 3_000_000, 1_234_567) == content[1_234_567:4_234_567]))
    os.copy_file_range(fd, os.open("g", os.O_WRONLY | os.O_CREAT), 5_000_000)
    lines.append(repr(get("g")[:1_000_000] == content[:1_000_000]))


@row
def temporary_files(lines):
    fd = lines.do("open", lambda: os.open(".", os.O_RDWR | os.O_TMPFILE) > 0)


@row
def direct_reading_and_writing(lines):
    fd = os.open("f", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
    memory = mmap.mmap(-1, 8192)
    memory[:] = b"d" * 8192
    lines.do("write", os.writev, fd, [memory])
    lines.do("read", os.preadv, fd, [memory], 4096)
    lines.show(fd)


@row
def syncing(lines):
    fd = os.open("f", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"x")
    lines.do("fsync", os.fsync, fd)
    lines.do("fdatasync", os.fdatasync, fd)
    lines.do("directory", lambda: os.fsync(os.open(".", os.O_RDONLY)))


@row
def locks(lines):
    one = os.open("f", os.O_RDWR | os.O_CREAT)
    fcntl.flock(one, fcntl.LOCK_EX)
    two = os.open("f", os.O_RDWR)
    lines.do("flock", fcntl.flock, two, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(one, fcntl.LOCK_UN)
    fcntl.lockf(one, fcntl.LOCK_EX, 10)

    def other(mine):
        mine.do("lockf", fcntl.lockf, two, fcntl.LOCK_EX | fcntl.LOCK_NB, 5)
        mine.do("beyond", fcntl.lockf, two, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 20)

    as_user(lines, other)


# ---- times


@row
def times(lines):
    put("f")
    for accessed, modified in ((0, 0), (1, 999_999_999), (1_600_000_000_123_456_789, 4_000_000_000_000_000_001), (-5, -1_500_000_000)):
        lines.do("utime", os.utime, "f", ns=(accessed, modified))
        found = os.stat("f")
        lines.append(f"{found.st_atime_ns} {found.st_mtime_ns}")
    os.symlink("f", "l")
    os.utime("l", ns=(7, 8), follow_symlinks=False)
    lines.append(f"{os.lstat('l').st_mtime_ns} {os.stat('f').st_mtime_ns}")


def changed(path, function):
    """Which times of a file a call changes: they are set back far before."""
    os.utime(path, ns=(10**9, 10**9))
    before = os.stat(path)
    function()
    after = os.stat(path)
    return f"modified {after.st_mtime_ns != before.st_mtime_ns}, changed {after.st_ctime_ns > before.st_ctime_ns}"


@row
def times_that_change(lines):
    put("f")
    os.mkdir("d")
    for name, path, call in (
        ("write", "f", lambda: put("f")),
        ("truncate", "f", lambda: os.truncate("f", 1)),
        ("make", "d", lambda: put("d/x")),
        ("rename in", "d", lambda: os.rename("d/x", "d/y")),
        ("unlink", "d", lambda: os.unlink("d/y")),
        ("mkdir", "d", lambda: os.mkdir("d/z")),
        ("rmdir", "d", lambda: os.rmdir("d/z")),
        ("symlink", "d", lambda: os.symlink("x", "d/l")),
        ("link", "d", lambda: os.link("f", "d/f")),
        ("mkfifo", "d", lambda: os.mkfifo("d/p")),
    ):
        lines.do(name, changed, path, call)


# ---- directories


@row
def many_entries(lines):
    os.mkdir("d")
    for number in range(300):
        os.close(os.open(f"d/{'n' * 200}{number}", os.O_WRONLY | os.O_CREAT))
    names = os.listdir("d")
    lines.append(f"{len(names)} {len(set(names))}")
    seen = []
    with os.scandir("d") as entries:
        for index, entry in enumerate(entries):
            seen.append(entry.name)
            if entry.name.startswith("nn") and int(entry.name[200:]) % 2:
                os.unlink(entry.path)
            if index % 10 == 0:
                put(f"d/new{index}")
    old = [name for name in seen if name.startswith("nn")]
    lines.append(f"{len(old)} {len(set(old))} {len(seen) == len(set(seen))}")
    lines.append(repr(len([name for name in os.listdir("d") if name.startswith("nn")])))


@row
def kinds_in_directories(lines):
    for kind in KINDS:
        make(kind, kind)
    with os.scandir(".") as entries:
        lines.extend(sorted(
            f"{e.name} {e.is_file(follow_symlinks=False)} {e.is_dir(follow_symlinks=False)} {e.is_symlink()} {e.inode() == os.lstat(e.name).st_ino}"
            for e in entries
        ))


# ---- extended attributes


@row
def extended_attributes(lines):
    put("f")
    os.mkdir("d")
    for path in ("f", "d"):
        lines.do("set", os.setxattr, path, "user.a", b"1\x00\xff")
        lines.do("get", os.getxattr, path, "user.a")
        lines.do("create", os.setxattr, path, "user.a", b"2", os.XATTR_CREATE)
        lines.do("replace", os.setxattr, path, "user.b", b"2", os.XATTR_REPLACE)
        lines.do("replace", os.setxattr, path, "user.a", b"22", os.XATTR_REPLACE)
        lines.do("empty", os.setxattr, path, "user.empty", b"")
        lines.do("list", lambda: sorted(os.listxattr(path)))
        lines.do("remove", os.removexattr, path, "user.a")
        lines.do("remove", os.removexattr, path, "user.a")
        lines.do("get", os.getxattr, path, "user.a")
        lines.do("long name", os.setxattr, path, "user." + "n" * 251, b"")
        lines.do("of nobody", os.setxattr, path, "nothing.a", b"")


def main():
    os.umask(0o22)
    base, result = os.path.abspath(sys.argv[1]), {}
    part, parts = int(sys.argv[2]), int(sys.argv[3])
    for number, (name, function) in list(enumerate(ROWS))[part::parts]:
        lines = Lines()
        here = os.path.join(base, str(number))
        os.mkdir(here)
        os.chdir(here)
        try:
            function(lines)
        except OSError as error:
            lines.append(f"ended by {errno.errorcode.get(error.errno)}")
        os.umask(0o22)
        result[name] = lines
    print(json.dumps(result))


main()
