# SPDX-License-Identifier: Apache-2.0
"""Which system calls a container may make, as the runtime specification's ``linux.seccomp`` object.

The default profile is Docker's, kept as data: everything is refused with EPERM but the calls listed here, a few more
belong to a processor or to a capability the container holds. A profile file in Docker's format is reduced to the
same object for one container: its ``includes`` and ``excludes`` are settled here, the runtime never sees them.
"""

from __future__ import annotations

from scow.errors import InvalidArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ALLOW, _ERRNO = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
_EPERM, _ENOSYS = 1, 38

# Processor as uname names it -> (Go's name, seccomp architectures of its ABIs). Docker adds x32 on x86_64; without it
# the runtime makes its filter in half the time (docs/measurements.md), and a program of that ABI is killed.
_ARCHITECTURES = (
    ("x86_64", "amd64", ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86")),
    ("i686", "x86", ("SCMP_ARCH_X86",)),
    ("aarch64", "arm64", ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM")),
    ("armv7l", "arm", ("SCMP_ARCH_ARM",)),
    ("ppc64le", "ppc64le", ("SCMP_ARCH_PPC64LE",)),
    ("s390x", "s390x", ("SCMP_ARCH_S390X", "SCMP_ARCH_S390")),
    ("riscv64", "riscv64", ("SCMP_ARCH_RISCV64",)),
    ("loongarch64", "loong64", ("SCMP_ARCH_LOONGARCH64",)),
)

_ALLOWED = (
    "accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime"
    " clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep"
    " clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1"
    " epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit"
    " exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2"
    " fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat"
    " fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait"
    " futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid"
    " getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid"
    " getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname"
    " getsockopt gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1"
    " inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl"
    " ioprio_get ioprio_set ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32"
    " lgetxattr link linkat listen listmount listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr"
    " lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat"
    " mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64"
    " mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall"
    " munmap name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open pidfd_send_signal"
    " pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64"
    " process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv"
    " recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat"
    " renameat2 restart_syscall riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo"
    " rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max"
    " sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval"
    " sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield"
    " seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto"
    " set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32"
    " setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid"
    " setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr setxattrat shmat shmctl"
    " shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat"
    " stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time"
    " timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64"
    " timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate"
    " truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork"
    " vmsplice wait4 waitid waitpid write writev"
    " process_vm_readv process_vm_writev ptrace"
)

_BY_ARCHITECTURE = (
    (("ppc64le",), "sync_file_range2 swapcontext"),
    (("arm", "arm64"), "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls"),
    (("amd64", "x86"), "arch_prctl modify_ldt"),
    (("s390x",), "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr"),
    (("riscv64",), "riscv_flush_icache"),
)

_BY_CAPABILITY = (
    ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    (
        "CAP_SYS_ADMIN",
        (
            "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr"
            " lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl"
            " quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare"
        ),
    ),
    ("CAP_SYS_BOOT", "reboot"),
    ("CAP_SYS_CHROOT", "chroot"),
    ("CAP_SYS_MODULE", "delete_module init_module finit_module"),
    ("CAP_SYS_PACCT", "acct"),
    ("CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise"),
    ("CAP_SYS_RAWIO", "iopl ioperm"),
    ("CAP_SYS_TIME", "settimeofday stime clock_settime clock_settime64"),
    ("CAP_SYS_TTY_CONFIG", "vhangup"),
    ("CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("CAP_SYSLOG", "syslog"),
    ("CAP_BPF", "bpf"),
    ("CAP_PERFMON", "perf_event_open"),
)

_AF_ALG, _AF_VSOCK = 38, 40
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
# CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}: a clone without any of them is a thread or an ordinary child.
_CLONE_NAMESPACES = 0x7E020000


def default_profile(capabilities: tuple[str, ...], machine: str) -> dict[str, Any]:
    """Docker's default profile for a container with these capabilities.

    Args:
        capabilities: Names such as ``CAP_SYS_ADMIN``.
        machine: As ``os.uname().machine``.

    Source: moby/profiles, seccomp/default.json (facts); OCI runtime-spec v1.1, config-linux.md, "Seccomp".
    """
    short, architectures = _architecture(machine)
    names = _ALLOWED.split()
    for processors, more in _BY_ARCHITECTURE:
        if short in processors:
            names += more.split()
    for capability, more in _BY_CAPABILITY:
        if capability in capabilities:
            names += more.split()
    rules: list[dict[str, Any]] = [
        {"names": names, "action": _ALLOW},
        _rule("socket", 0, _AF_ALG, "SCMP_CMP_LT"),
        _rule("socket", 0, _AF_ALG + 1, "SCMP_CMP_EQ"),
        _rule("socket", 0, _AF_VSOCK, "SCMP_CMP_GT"),
        *(_rule("personality", 0, value, "SCMP_CMP_EQ") for value in _PERSONALITIES),
    ]
    if "CAP_SYS_ADMIN" not in capabilities:
        # s390 swaps the first two arguments of clone.
        argument = 1 if short == "s390x" else 0
        masked = {"index": argument, "value": _CLONE_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
        rules.append({"names": ["clone"], "action": _ALLOW, "args": [masked]})
        # Flags of clone3 cannot be filtered; ENOSYS makes the C library fall back to clone.
        rules.append({"names": ["clone3"], "action": _ERRNO, "errnoRet": _ENOSYS})
    return {
        "defaultAction": _ERRNO,
        "defaultErrnoRet": _EPERM,
        "architectures": list(architectures),
        "syscalls": rules,
    }


def custom_profile(text: str, capabilities: tuple[str, ...], machine: str) -> dict[str, Any]:
    """Reduce a profile file (Docker's format, or the runtime's own) to one container.

    Args:
        text: The file's JSON.
        capabilities: What the container holds.
        machine: As ``os.uname().machine``.

    Raises:
        InvalidArgumentError: Not JSON, or not such a profile.
    """
    import json

    try:
        profile = json.loads(text)
        short, architectures = _architecture(machine)
        result: dict[str, Any] = {"defaultAction": profile["defaultAction"]}
        if profile.get("defaultErrnoRet") is not None:
            result["defaultErrnoRet"] = profile["defaultErrnoRet"]
        result["architectures"] = list(profile.get("architectures") or architectures)
        for member in ("flags", "listenerPath", "listenerMetadata"):
            if profile.get(member):
                result[member] = profile[member]
        result["syscalls"] = [
            _reduced(rule) for rule in profile.get("syscalls") or () if _applies(rule, capabilities, short)
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidArgumentError(
            f"Decoding seccomp profile failed: {error}", hint="Give a JSON file in docker's seccomp profile format."
        ) from None
    return result


def _architecture(machine: str) -> tuple[str, tuple[str, ...]]:
    for name, short, architectures in _ARCHITECTURES:
        if name == machine:
            return short, architectures
    return machine, ()


def _rule(name: str, index: int, value: int, comparison: str) -> dict[str, Any]:
    argument = {"index": index, "value": value, "valueTwo": 0, "op": comparison}
    return {"names": [name], "action": _ALLOW, "args": [argument]}


def _reduced(rule: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {"names": list(rule.get("names") or [rule["name"]]), "action": rule["action"]}
    if rule.get("errnoRet") is not None:
        out["errnoRet"] = rule["errnoRet"]
    if rule.get("args"):
        out["args"] = rule["args"]
    return out


def _applies(rule: dict[str, Any], capabilities: tuple[str, ...], short: str) -> bool:
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    if any(name in capabilities for name in excludes.get("caps") or ()) or short in (excludes.get("arches") or ()):
        return False
    if any(name not in capabilities for name in includes.get("caps") or ()):
        return False
    arches = includes.get("arches") or ()
    return not arches or short in arches
