#include "sandbox/sandbox.h"

#include "sandbox/filter.h"
#include "sandbox/user.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * What is let through, and what for. tests/unit/data/sandbox_calls.txt has the list too, with those
 * marked that ordinary traffic must be seen to use: a call is added in both, or not at all.
 * A name that this machine's architecture does not have is left out.
 */
/* clang-format off */
static const char *const worker_calls[] = { /* every thread's */
	/* connections */
	"accept4",            /* those that come */
	"connect",            /* to backends, to name servers */
	"getsockname",        /* where a connection came in */
	"getsockopt",         /* the outcome of a connect; the peer of the control socket */
	"pipe2",              /* for splice */
	"recvfrom",           /* all reading, peeking included */
	"sendto",             /* all writing; notifications to systemd */
	"shutdown",           /* the end of a direction */
	"splice",             /* passthrough */

	/* descriptors */
	"close",              /* of each of them */
	"lseek",              /* stdio, where a file is not read to its end */
	"read",               /* files, what a library wakes itself with */
	"write",              /* the log, waking others */
	"writev",             /* c-ares, over TCP */

	/* waiting */
	"epoll_create1",      /* each thread's loop */
	"epoll_ctl",          /* what it waits for */
	"epoll_pwait",        /* epoll_wait, where there is no other */
	"epoll_wait",         /* all waiting */
	"eventfd2",           /* what wakes a loop */
	"poll",               /* is a connect through at once */
	"ppoll",              /* poll, where there is no other */

	/* files: what a load reads, what the watch looks at */
	"access",             /* does a file exist */
	"faccessat",          /* access, where there is no other */
	"fstat",              /* newfstatat of a descriptor, in other versions of the C library */
	"getdents64",         /* patterns; OpenSSL, for a CA in the directory of the system's */
	"newfstatat",         /* has a file changed */

	/* memory; new code is not among it, see below */
	"brk",                /* malloc */
	"madvise",            /* malloc and ended threads give back */
	"mremap",             /* realloc of what is large */
	"munmap",             /* malloc, ended threads */

	/* threads: workers, the log's writer, the loader, libmicrohttpd's */
	"exit",               /* of a thread */
	"exit_group",         /* of all */
	"futex",              /* locks and joining */
	"gettid",             /* whose priority */
	"restart_syscall",    /* the kernel's own, after a stop */
	"rseq",               /* the C library, in each new thread */
	"sched_getaffinity",  /* the C library: for how many processors is malloc to provide */
	"set_robust_list",    /* the C library, in each new thread */

	/* signals */
	"rt_sigaction",       /* the C library's; abort */
	"rt_sigprocmask",     /* new threads are to get none */
	"rt_sigreturn",       /* the end of a handler, should a library have one */

	/* time and chance */
	"clock_gettime",      /* where the vDSO cannot answer */
	"getrandom",          /* OpenSSL, c-ares */
	"gettimeofday",       /* where the vDSO cannot answer */
	"time",               /* where the vDSO cannot answer */

	/* who we are, and how much we use */
	"getpid",             /* OpenSSL's random generator, again and again */
	"sysinfo",            /* the C library's qsort: how much memory is there */
	"uname",              /* c-ares: this machine's domain */
};

/* What threads other than workers do: the main one, the loader, the log's writer, libmicrohttpd's. */
static const char *const main_calls[] = {
	"bind",               /* a reload's new listeners */
	"listen",             /* a reload's new listeners */
	"sendmsg",            /* sockets to the launcher, connections to the process before; libmicrohttpd's answers */
	"recvmsg",            /* connections that the process after an upgrade returns */
	"faccessat2",         /* is it the sandbox that hides it */
	"getcwd",             /* relative paths */
	"inotify_add_watch",  /* the watch follows the configuration */
	"inotify_rm_watch",   /* and leaves what is no longer named */
	"statfs",             /* does its file system report changes */
	"statx",              /* has a file changed, is it a mount point */
	"readlink",           /* where links on the way lead */
	"readlinkat",         /* readlink, where there is no other */
	"umask",              /* of a control socket that a reload makes */
	"unlink",             /* when one is closed */
	"unlinkat",           /* unlink, where there is no other */
	"setpriority",        /* the loader and the administrators' thread make way for workers */
	"geteuid",            /* may he ask, at the control socket */
	"getrusage",          /* the metrics */
	"timerfd_settime",    /* the watch on the wall clock, when it was set */
};
/* clang-format on */

#define WRITING (O_ACCMODE | O_CREAT | O_TRUNC)

/* clang-format off */
#define SOCKET_TYPE (~(scmp_datum_t)(SOCK_NONBLOCK | SOCK_CLOEXEC)) /* without its flags */
#define SOCKETS(domain, type, protocol) \
	{"socket", true, 3, {{0, SCMP_CMP_EQ, domain, 0}, \
		{1, SCMP_CMP_MASKED_EQ, SOCKET_TYPE, type}, {2, SCMP_CMP_EQ, protocol, 0}}}

/* With what arguments; a call that is here twice may be either. */
static const struct limited_call {
	const char *name;
	bool is_workers;
	unsigned count;
	struct scmp_arg_cmp arguments[3];
} limited_calls[] = {
	/* memory that is no program: nothing that is written is ever run */
	{"mmap", true, 1, {{2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}}},
	{"mprotect", true, 1, {{2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}}},
	/* files are read, not written; Landlock says which */
	{"openat", true, 1, {{2, SCMP_CMP_MASKED_EQ, WRITING, 0}}},
	/* threads, but no processes */
	{"clone", false, 1, {{0, SCMP_CMP_MASKED_EQ, CLONE_VM | CLONE_THREAD, CLONE_VM | CLONE_THREAD}}},
	/* TCP, UDP for names, unix sockets; no MPTCP, SCTP or raw ones */
	SOCKETS(AF_INET, SOCK_STREAM, 0), SOCKETS(AF_INET, SOCK_STREAM, IPPROTO_TCP),
	SOCKETS(AF_INET, SOCK_DGRAM, 0), SOCKETS(AF_INET, SOCK_DGRAM, IPPROTO_UDP),
	SOCKETS(AF_INET6, SOCK_STREAM, 0), SOCKETS(AF_INET6, SOCK_STREAM, IPPROTO_TCP),
	SOCKETS(AF_INET6, SOCK_DGRAM, 0), SOCKETS(AF_INET6, SOCK_DGRAM, IPPROTO_UDP),
	SOCKETS(AF_UNIX, SOCK_STREAM, 0), SOCKETS(AF_UNIX, SOCK_DGRAM, 0),
	/* what a relay and a listener need; SO_RCVLOWAT for a part of a hello */
	{"setsockopt", true, 1, {{1, SCMP_CMP_EQ, SOL_SOCKET, 0}}},
	{"setsockopt", true, 1, {{1, SCMP_CMP_EQ, IPPROTO_TCP, 0}}},
	{"setsockopt", false, 1, {{1, SCMP_CMP_EQ, IPPROTO_IPV6, 0}}},
	/* flags of descriptors, the size of a pipe; no owner, to whom the kernel would send signals */
	{"fcntl", true, 1, {{1, SCMP_CMP_EQ, F_GETFD, 0}}},
	{"fcntl", true, 1, {{1, SCMP_CMP_EQ, F_SETFD, 0}}},
	{"fcntl", true, 1, {{1, SCMP_CMP_EQ, F_GETFL, 0}}},
	{"fcntl", true, 1, {{1, SCMP_CMP_EQ, F_SETFL, 0}}},
	{"fcntl", true, 1, {{1, SCMP_CMP_EQ, F_GETPIPE_SZ, 0}}},
	{"fcntl", true, 1, {{1, SCMP_CMP_EQ, F_SETPIPE_SZ, 0}}},
	{"fcntl", true, 1, {{1, SCMP_CMP_EQ, F_DUPFD_CLOEXEC, 0}}},
	/* the interface of an address such as "fe80::1%eth0", and its name for the log */
	{"ioctl", true, 1, {{1, SCMP_CMP_EQ, SIOCGIFINDEX, 0}}},
	{"ioctl", true, 1, {{1, SCMP_CMP_EQ, SIOCGIFNAME, 0}}},
	/* an upgrade's channel */
	{"socketpair", false, 1, {{0, SCMP_CMP_EQ, AF_UNIX, 0}}},
	/* a thread's name */
	{"prctl", false, 1, {{0, SCMP_CMP_EQ, PR_SET_NAME, 0}}},
	/* limits are looked at, for the metrics */
	{"prlimit64", false, 1, {{2, SCMP_CMP_EQ, 0, 0}}},
	/* a worker's own filter, which adds to this one */
	{"seccomp", false, 1, {{0, SCMP_CMP_EQ, SECCOMP_SET_MODE_FILTER, 0}}},
};
/* clang-format on */

#define COUNT(array) (sizeof(array) / sizeof *(array))

const char *sandbox_call(size_t index)
{
	if (index < COUNT(worker_calls))
		return worker_calls[index];
	index -= COUNT(worker_calls);
	if (index < COUNT(main_calls))
		return main_calls[index];
	index -= COUNT(main_calls);
	return index < COUNT(limited_calls) ? limited_calls[index].name : NULL;
}

static int allow_calls(scmp_filter_ctx filter, const char *const *names, size_t count)
{
	int error = 0;
	for (size_t i = 0; i < count && error == 0; i++) {
		int number = seccomp_syscall_resolve_name(names[i]);
		if (number >= 0)
			error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
	}
	return error;
}

static int allow_limited_calls(scmp_filter_ctx filter)
{
	int error = 0;
	for (size_t i = 0; i < COUNT(limited_calls) && error == 0; i++) {
		const struct limited_call *call = &limited_calls[i];
		int number = seccomp_syscall_resolve_name(call->name);
		if (number >= 0)
			error = seccomp_rule_add_array(
				filter, SCMP_ACT_ALLOW, number, call->count, call->arguments);
	}
	return error;
}

/* By name alone: with what arguments, the filter of all threads says, which is asked as well. */
static int allow_limited_calls_of_workers(scmp_filter_ctx filter)
{
	int error = 0;
	for (size_t i = 0; i < COUNT(limited_calls) && error == 0; i++) {
		bool is_first =
			i == 0 || strcmp(limited_calls[i].name, limited_calls[i - 1].name) != 0;
		if (is_first && limited_calls[i].is_workers)
			error = allow_calls(filter, &limited_calls[i].name, 1);
	}
	return error;
}

static pid_t this_pid; /* of which the child that compiles is none */

/* abort(3) signals its own thread; no other process may be signalled. */
static int filter_add_abort(scmp_filter_ctx filter)
{
	struct scmp_arg_cmp this_process = {0, SCMP_CMP_EQ, (scmp_datum_t)this_pid, 0};
	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, &this_process);
}

/*
 * clone3 has its flags in memory, where no filter sees them; without it the C
 * library uses clone.
 */
static int filter_add_absent(scmp_filter_ctx filter)
{
	return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static int limit_all(scmp_filter_ctx filter)
{
	int error = allow_calls(filter, worker_calls, COUNT(worker_calls));
	error = error ? error : allow_calls(filter, main_calls, COUNT(main_calls));
	error = error ? error : allow_limited_calls(filter);
	error = error ? error : filter_add_abort(filter);
	return error ? error : filter_add_absent(filter);
}

static int limit_worker(scmp_filter_ctx filter)
{
	int error = allow_calls(filter, worker_calls, COUNT(worker_calls));
	error = error ? error : allow_limited_calls_of_workers(filter);
	return error ? error : filter_add_abort(filter);
}

/* What a program that is started may need is not known here: a list of what it does not. */
/* clang-format off */
static const char *const launcher_refused[] = {
	"ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "process_madvise",
	"mount", "umount2", "move_mount", "open_tree", "fsopen", "fsmount", "fsconfig", "fspick",
	"mount_setattr", "pivot_root", "chroot", "unshare", "setns",
	"init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot",
	"bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
	"keyctl", "add_key", "request_key", "swapon", "swapoff", "acct", "quotactl", "syslog",
	"settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "iopl", "ioperm", "modify_ldt",
	"open_by_handle_at", "name_to_handle_at", "personality", "vhangup", "sethostname", "setdomainname",
};
/* clang-format on */

static int limit_launcher(scmp_filter_ctx filter)
{
	int error = 0;
	for (size_t i = 0; i < COUNT(launcher_refused) && error == 0; i++) {
		int number = seccomp_syscall_resolve_name(launcher_refused[i]);
		if (number >= 0)
			error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0);
	}
	return error;
}

/* Compiled with the one of all threads: a worker may start no process, and needs no memory. */
static struct filter worker_filter;

bool sandbox_limit_calls(struct err *err)
{
	static struct filter filter;
	struct err no_worker_filter;
	this_pid = getpid();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	filter_compile(&worker_filter, limit_worker, SCMP_ACT_ERRNO(EPERM), &no_worker_filter);
	return filter_compile(&filter, limit_all, SCMP_ACT_ERRNO(EPERM), err) &&
		filter_load(&filter, err);
}

bool sandbox_limit_worker_calls(struct err *err)
{
	return filter_load(&worker_filter, err);
}

/*
 * Without capabilities there are none that the program's file would bring: no new privileges then, without which
 * the kernel takes a filter from root alone.
 */
bool sandbox_limit_launcher_calls(struct err *err)
{
	static struct filter filter;
	if (!user_has_capabilities())
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return filter_compile(&filter, limit_launcher, SCMP_ACT_ALLOW, err) &&
		filter_load(&filter, err);
}
