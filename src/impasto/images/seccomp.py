"""Take from this process what no decoder needs: new programs, connections, and files to write.

A filter of system calls, as Linux offers to every process (seccomp with BPF). It holds for good,
and for every thread. On other systems and processors than Linux on x86-64 there is none.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

_SET_NO_NEW_PRIVILEGES, _SET_SECCOMP, _MODE_FILTER = 38, 22, 2  # of prctl
_AUDIT_X86_64, _X32 = 0xC000003E, 0x40000000
_KILL, _ALLOW, _ERRNO = 0x80000000, 0x7FFF0000, 0x00050000  # what a filter returns
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # places in what a filter is given
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_THREAD = 0x10000  # CLONE_THREAD

# Numbers of system calls on x86-64.
_REFUSED = (
    59, 322, 57, 58, 101, 310, 311,  # execve, execveat, fork, vfork, ptrace, process_vm_*
    41, 42, 43, 49, 50, 53, 288,  # socket, connect, accept, bind, listen, socketpair, accept4
    85, 87, 263, 82, 264, 316,  # creat, unlink, unlinkat, rename, renameat, renameat2
    83, 258, 84, 86, 265, 88, 266,  # mkdir, mkdirat, rmdir, link, linkat, symlink, symlinkat
    90, 91, 268, 452, 92, 93, 94, 260,  # chmod and chown in all forms
    76, 77, 133, 259,  # truncate, ftruncate, mknod, mknodat
    165, 166, 155, 161, 272, 308,  # mount, umount2, pivot_root, chroot, unshare, setns
    200, 321, 298, 425, 248, 249, 250, 323, 319, 29,  # tkill, bpf, perf, io_uring, keys, memory
)  # fmt: skip
_UNKNOWN = (435, 437)  # clone3, openat2: libraries fall back to calls that can be looked into
_OPEN, _OPENAT, _CLONE, _KILL_CALL, _TGKILL = 2, 257, 56, 62, 234


def restrict_calls() -> bool:
    """Install the filter; return whether this system has taken it."""
    if sys.platform != "linux" or platform.machine() != "x86_64" or sys.maxsize < 2**32:
        return False
    program = _assemble(os.getpid())
    code = ctypes.create_string_buffer(program)
    # struct sock_fprog: the number of instructions, and where they are.
    filter_ = ctypes.create_string_buffer(
        struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    )
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    if prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return False
    return prctl(_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(filter_), 0, 0) == 0


def _assemble(process: int) -> bytes:
    """Return the filter for a process, as instructions of the Berkeley Packet Filter."""
    refuse, unknown = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    code = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_JUMP_EQUAL, _AUDIT_X86_64, 1, 0),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER),
        _instruction(_JUMP_AT_LEAST, _X32, 0, 1),
        _instruction(_RETURN, refuse),
    ]
    for numbers, value in ((_REFUSED, refuse), (_UNKNOWN, unknown)):
        for number in numbers:
            code += [_instruction(_JUMP_EQUAL, number, 0, 1), _instruction(_RETURN, value)]
    # Call, its argument that decides, the test, and what to return if it holds or not.
    for number, argument, test, value, then, otherwise in (
        (_OPEN, 1, _JUMP_ANY, _WRITES, refuse, _ALLOW),
        (_OPENAT, 2, _JUMP_ANY, _WRITES, refuse, _ALLOW),
        (_CLONE, 0, _JUMP_ANY, _THREAD, _ALLOW, refuse),
        (_KILL_CALL, 0, _JUMP_EQUAL, process, _ALLOW, refuse),
        (_TGKILL, 0, _JUMP_EQUAL, process, _ALLOW, refuse),
    ):
        code += [
            _instruction(_JUMP_EQUAL, number, 0, 4),
            _instruction(_LOAD, _ARGUMENTS + 8 * argument),
            _instruction(test, value, 0, 1),
            _instruction(_RETURN, then),
            _instruction(_RETURN, otherwise),
        ]
    return b"".join([*code, _instruction(_RETURN, _ALLOW)])


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """Return one instruction; jumps are relative, counted in instructions."""
    return struct.pack("HBBI", code, if_true, if_false, value)
