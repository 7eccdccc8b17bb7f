#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <string.h>
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
static const char *const calls[] = {
	/* connections */
	"accept4",            /* those that come */
	"bind",               /* a reload's new listeners */
	"connect",            /* to backends, to name servers */
	"getsockname",        /* where a connection came in */
	"getsockopt",         /* the outcome of a connect; the peer of the control socket */
	"listen",             /* a reload's new listeners */
	"pipe2",              /* for splice */
	"recvfrom",           /* all reading, peeking included */
	"sendmsg",            /* sockets to the launcher; libmicrohttpd's answers */
	"sendto",             /* all writing; notifications to systemd */
	"setsockopt",         /* what a relay needs; SO_RCVLOWAT for a part of a hello */
	"shutdown",           /* the end of a direction */
	"splice",             /* passthrough */

	/* descriptors */
	"close",              /* of each of them */
	"fcntl",              /* their flags, the size of a pipe */
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
	"faccessat2",         /* is it the sandbox that hides it */
	"fstat",              /* newfstatat of a descriptor, in other versions of the C library */
	"getcwd",             /* relative paths */
	"getdents64",         /* patterns, directories of CAs */
	"inotify_add_watch",  /* the watch follows the configuration */
	"inotify_rm_watch",   /* and leaves what is no longer named */
	"newfstatat",         /* has a file changed */
	"readlink",           /* where links on the way lead */
	"readlinkat",         /* readlink, where there is no other */

	/* unix sockets' files */
	"umask",              /* of a control socket that a reload makes */
	"unlink",             /* when one is closed */
	"unlinkat",           /* unlink, where there is no other */

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
	"setpriority",        /* the loader and the administrators' thread make way for workers */

	/* signals */
	"rt_sigaction",       /* the C library's; abort */
	"rt_sigprocmask",     /* new threads are to get none */
	"rt_sigreturn",       /* the end of a handler, should a library have one */

	/* time and chance */
	"clock_gettime",      /* where the vDSO cannot answer */
	"getrandom",          /* OpenSSL, c-ares */
	"gettimeofday",       /* where the vDSO cannot answer */
	"time",               /* where the vDSO cannot answer */
	"timerfd_settime",    /* the watch on the wall clock, when it was set */

	/* who we are, and how much we use */
	"geteuid",            /* may he ask, at the control socket */
	"getpid",             /* OpenSSL's random generator, again and again */
	"getrusage",          /* the metrics */
	"sysinfo",            /* the C library's qsort: how much memory is there */
	"uname",              /* c-ares: this machine's domain */
};
/* clang-format on */

#define WRITING (O_ACCMODE | O_CREAT | O_TRUNC)

/* With what arguments; a call that is here twice may be either. */
static const struct limited_call {
	const char *name;
	unsigned count;
	struct scmp_arg_cmp arguments[2];
} limited_calls[] = {
	/* memory that is no program: nothing that is written is ever run */
	{"mmap", 1, {{2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}}},
	{"mprotect", 1, {{2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}}},
	/* files are read, not written; Landlock says which */
	{"openat", 1, {{2, SCMP_CMP_MASKED_EQ, WRITING, 0}}},
	/* threads, but no processes */
	{"clone", 1, {{0, SCMP_CMP_MASKED_EQ, CLONE_VM | CLONE_THREAD, CLONE_VM | CLONE_THREAD}}},
	{"socket", 1, {{0, SCMP_CMP_EQ, AF_INET, 0}}},
	{"socket", 1, {{0, SCMP_CMP_EQ, AF_INET6, 0}}},
	{"socket", 1, {{0, SCMP_CMP_EQ, AF_UNIX, 0}}},
	/* an upgrade's channel */
	{"socketpair", 1, {{0, SCMP_CMP_EQ, AF_UNIX, 0}}},
	/* a thread's name */
	{"prctl", 1, {{0, SCMP_CMP_EQ, PR_SET_NAME, 0}}},
	/* limits are looked at, for the metrics */
	{"prlimit64", 1, {{2, SCMP_CMP_EQ, 0, 0}}},
};

#define CALLS   (sizeof calls / sizeof *calls)
#define LIMITED (sizeof limited_calls / sizeof *limited_calls)

const char *sandbox_call(size_t index)
{
	if (index < CALLS)
		return calls[index];
	index -= CALLS;
	if (index < LIMITED)
		return limited_calls[index].name;
	return NULL;
}

static int filter_add_calls(scmp_filter_ctx filter)
{
	int error = 0;
	for (size_t i = 0; i < CALLS && error == 0; i++) {
		int number = seccomp_syscall_resolve_name(calls[i]);
		if (number >= 0)
			error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
	}
	return error;
}

static int filter_add_limited_calls(scmp_filter_ctx filter)
{
	int error = 0;
	for (size_t i = 0; i < LIMITED && error == 0; i++) {
		const struct limited_call *call = &limited_calls[i];
		int number = seccomp_syscall_resolve_name(call->name);
		if (number >= 0)
			error = seccomp_rule_add_array(
				filter, SCMP_ACT_ALLOW, number, call->count, call->arguments);
	}
	return error;
}

/* abort(3) signals its own thread; no other process may be signalled. */
static int filter_add_abort(scmp_filter_ctx filter)
{
	struct scmp_arg_cmp this_process = {0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0};
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

static int filter_fill(scmp_filter_ctx filter)
{
	int error = filter_add_calls(filter);
	error = error ? error : filter_add_limited_calls(filter);
	error = error ? error : filter_add_abort(filter);
	error = error ? error : filter_add_absent(filter);
	/* Older kernels cannot log refusals, and older libraries search linearly. */
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return error ? error : seccomp_load(filter);
}

bool sandbox_limit_calls(struct err *err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!filter) {
		err_set(err, "out of memory");
		return false;
	}
	int error = filter_fill(filter);
	if (error == -EINVAL || error == -ECANCELED)
		err_set(err, "the kernel has no seccomp filters");
	else if (error != 0)
		err_set(err, "%s", strerror(-error));
	seccomp_release(filter);
	return error == 0;
}
