"""What inotify tells: `inotify.py DIRECTORY...` prints `ready`, then a line `NAMES PATH` for each event below these directories,
which are not watched any deeper."""

import ctypes
import os
import struct
import sys

NAMES = {
    0x2: "MODIFY",
    0x4: "ATTRIB",
    0x8: "CLOSE_WRITE",
    0x40: "MOVED_FROM",
    0x80: "MOVED_TO",
    0x100: "CREATE",
    0x200: "DELETE",
    0x400: "DELETE_SELF",
    0x4000: "OVERFLOW",
    0x8000: "IGNORED",
}

libc = ctypes.CDLL(None, use_errno=True)
fd = libc.inotify_init1(0)
paths = {}
for path in sys.argv[1:]:
    watch = libc.inotify_add_watch(fd, os.fsencode(path), 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400)
    if watch < 0:
        sys.exit(f"{path}: errno {ctypes.get_errno()}")
    paths[watch] = path
print("ready", flush=True)
while True:
    data = os.read(fd, 65536)
    offset = 0
    while offset < len(data):
        watch, mask, cookie, length = struct.unpack_from("iIII", data, offset)
        name = data[offset + 16 : offset + 16 + length].rstrip(b"\0").decode()
        offset += 16 + length
        names = "+".join(name for bit, name in NAMES.items() if mask & bit)
        path = paths.get(watch, "")
        print(names, os.path.join(path, name) if name else path, flush=True)
