"""Swaps a directory or file with a link that leads out, as fast as it can, until its input ends: `swap_links.py A B …`."""
import ctypes, os, select, sys

libc = ctypes.CDLL(None, use_errno=True)
names = [os.fsencode(name) for name in sys.argv[1:]]
count = 0
print("swapping", flush=True)
while count % 64 or not select.select([0], [], [], 0)[0]:
    for one, other in zip(names[::2], names[1::2]):
        libc.renameat2(-100, one, -100, other, 2)
    count += 1
print(count, flush=True)
