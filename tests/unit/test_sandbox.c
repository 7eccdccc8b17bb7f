/*
 * The sandbox: what is let through is what tests/unit/data/sandbox_calls.txt lists, and what is not
 * let through fails. Each is tried in a process of its own, which answers by its status.
 */
#include "sandbox/sandbox.h"
#include "sandbox/user.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h> /* needs those before it */

#define LIST   "tests/unit/data/sandbox_calls.txt"
#define CANNOT 77 /* this kernel has no such thing */

/* The first word of each line that is no comment. */
static bool next_listed(FILE *file, char out[64])
{
	char line[256];
	while (fgets(line, sizeof line, file))
		if (line[0] != '#' && sscanf(line, "%63s", out) == 1)
			return true;
	return false;
}

static bool is_let_through(const char *name)
{
	for (size_t i = 0; sandbox_call(i); i++)
		if (strcmp(sandbox_call(i), name) == 0)
			return true;
	return false;
}

static bool is_listed(const char *name)
{
	FILE *file = fopen(LIST, "r");
	char listed[64];
	bool found = false;
	assert_non_null(file);
	while (!found && next_listed(file, listed))
		found = strcmp(listed, name) == 0;
	fclose(file);
	return found;
}

static void lets_through_what_is_listed(void **state)
{
	FILE *file = fopen(LIST, "r");
	char name[64];
	unsigned missing = 0;
	(void)state;
	assert_non_null(file);
	while (next_listed(file, name))
		if (!is_let_through(name)) {
			print_error("%s: listed, and not let through\n", name);
			missing++;
		}
	fclose(file);
	assert_int_equal(missing, 0);
}

static void lets_nothing_else_through(void **state)
{
	unsigned more = 0;
	(void)state;
	for (size_t i = 0; sandbox_call(i); i++)
		if (!is_listed(sandbox_call(i))) {
			print_error("%s: let through, and not listed\n", sandbox_call(i));
			more++;
		}
	assert_int_equal(more, 0);
}

/* Runs it in a child; false when the kernel cannot do what it tries. */
static bool holds(int (*tried)(void))
{
	int status;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(tried());
	assert_true(waitpid(pid, &status, 0) == pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == CANNOT)
		return false;
	assert_int_equal(WEXITSTATUS(status), 0);
	return true;
}

static void *do_nothing(void *unused)
{
	return unused;
}

#define IS_REFUSED(call) ((call) < 0 && errno == EPERM)

/* Lines of the first that is wrong, so that the status tells. */
static int try_calls(void)
{
	struct err err;
	char *const arguments[] = {"true", NULL};
	pthread_t thread;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (!sandbox_limit_calls(&err))
		return CANNOT;
	if (!IS_REFUSED(execve("/bin/true", arguments, NULL)))
		return 1;
	if (!IS_REFUSED(fork()))
		return 2;
	if (!IS_REFUSED(kill(getppid(), 0)))
		return 3;
	if (!IS_REFUSED(ptrace(PTRACE_TRACEME, 0, NULL, NULL)))
		return 4;
	if (!IS_REFUSED(socket(AF_PACKET, SOCK_RAW, 0)))
		return 5;
	if (!IS_REFUSED(open("/dev/null", O_WRONLY)))
		return 6;
	if (!IS_REFUSED(syscall(SYS_setuid, 0)))
		return 7;
	if (!IS_REFUSED(prctl(PR_SET_DUMPABLE, 1)))
		return 8;
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return 9;
	if (!IS_REFUSED(mprotect(memory, 4096, PROT_READ | PROT_EXEC)))
		return 10;
	if (mmap(NULL, 4096, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
		return 11;
	if (pthread_create(&thread, NULL, do_nothing, NULL) != 0 || pthread_join(thread, NULL) != 0)
		return 12;
	if (!IS_REFUSED(fcntl(0, F_SETOWN, getppid())) || !IS_REFUSED(fcntl(0, F_SETSIG, SIGKILL)))
		return 13;
	if (fcntl(0, F_GETFD) < 0)
		return 14;
	if (!IS_REFUSED(socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP)) ||
		!IS_REFUSED(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6)) ||
		!IS_REFUSED(socket(AF_UNIX, SOCK_SEQPACKET, 0)))
		return 15;
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fd < 0 || socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) < 0)
		return 16;
	if (!IS_REFUSED(setsockopt(fd, IPPROTO_IP, IP_TTL, &(int){1}, sizeof(int))) ||
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int)) < 0)
		return 17;
	if (!IS_REFUSED(ioctl(fd, SIOCGIFCONF, NULL)) || if_nametoindex("lo") == 0)
		return 18;
	return open("/dev/null", O_RDONLY) >= 0 ? 0 : 19;
}

/* Behind the filter of all threads. */
static int try_calls_of_workers(void)
{
	struct err err;
	pthread_t thread;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (!sandbox_limit_calls(&err) || !sandbox_limit_worker_calls(&err))
		return CANNOT;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (!IS_REFUSED(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t))) ||
		!IS_REFUSED(listen(fd, 1)))
		return 1;
	if (!IS_REFUSED(unlink("/nowhere/nothing")) || !IS_REFUSED(chmod("/nowhere/nothing", 0)))
		return 2;
	if (pthread_create(&thread, NULL, do_nothing, NULL) != EPERM)
		return 3;
	if (!IS_REFUSED(syscall(SYS_seccomp, 1, 0, NULL)))
		return 4;
	if (!IS_REFUSED(open("/dev/null", O_WRONLY)))
		return 5;
	if (!IS_REFUSED(socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP)))
		return 6;
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EPERM)
		return 7;
	return open("/dev/null", O_RDONLY) >= 0 ? 0 : 8;
}

static int try_capabilities(void)
{
	struct err err;
	if (geteuid() != 0 || prctl(PR_CAPBSET_READ, CAP_DAC_OVERRIDE) != 1)
		return CANNOT;
	if (!user_drop_capabilities(&err))
		return 1;
	if (setuid(65534) == 0 || chown("/proc/self/comm", 1, 1) == 0)
		return 2;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in low = {.sin_family = AF_INET,
		.sin_port = htons(7),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 7)};
	return bind(fd, (struct sockaddr *)&low, sizeof low) == 0 || errno == EADDRINUSE ? 0 : 3;
}

static void root_keeps_low_ports_alone(void **state)
{
	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* their reports need more */
#endif
	if (!holds(try_capabilities))
		skip();
}

static void workers_have_fewer_calls(void **state)
{
	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip();
#endif
	if (!holds(try_calls_of_workers))
		skip();
}

static void other_calls_fail(void **state)
{
	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* their threads need more, and gatehouse has no sandbox then */
#endif
	if (!holds(try_calls))
		skip();
}

static void write_file(const char *path)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs("text\n", file);
	fclose(file);
}

static bool can_read(const char *path)
{
	int fd = open(path, O_RDONLY);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int try_files(void)
{
	struct err err;
	struct path_set paths = {0};
	struct config config = {.control_socket = "run/control.sock"};
	path_set_add(&paths, "conf/config.json");
	path_set_add(&paths, "conf/hosts.d/*.json"); /* not there yet */
	path_set_add(&paths, "live/cert.pem");       /* a link into "archive" */
	path_set_add(&paths, "cas");                 /* a directory */
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (sandbox_limit_files(&config, &paths, &err) == 0)
		return CANNOT;
	if (!can_read("conf/config.json") || sandbox_hides("conf/config.json"))
		return 1;
	if (!can_read("conf/beside") || !can_read("live/cert.pem") || !can_read("cas/ca.pem"))
		return 2;
	if (!can_read("archive/next.pem"))
		return 3;
	if (!can_read("/etc/passwd") || !can_read("/proc/self/statm"))
		return 4;
	if (can_read("other/key.pem") || !sandbox_hides("other/key.pem"))
		return 5;
	if (!sandbox_hides("other/*.json"))
		return 6;
	if (sandbox_hides("conf/nothing") || sandbox_hides("nowhere/nothing"))
		return 7;
	if (open("conf/config.json", O_WRONLY) >= 0 ||
		open("run/file", O_WRONLY | O_CREAT, 0600) >= 0)
		return 8;
	if (mkdir("conf/hosts.d", 0700) == 0 || unlink("conf/config.json") == 0)
		return 9;
	if (unlink("run/old.sock") != 0)
		return 10;
	return 0;
}

static void make_files(void)
{
	static const char *const directories[] = {"conf", "live", "archive", "cas", "other", "run"};
	static const char *const files[] = {"conf/config.json", "conf/beside", "archive/cert.pem",
		"archive/next.pem", "cas/ca.pem", "other/key.pem", "run/old.sock"};
	for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
		assert_int_equal(mkdir(directories[i], 0700), 0);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		write_file(files[i]);
	assert_int_equal(symlink("../archive/cert.pem", "live/cert.pem"), 0);
}

static void other_files_are_closed(void **state)
{
	char directory[] = "/tmp/gatehouse-sandbox.XXXXXX", command[64];
	int here = open(".", O_RDONLY | O_DIRECTORY);
	(void)state;
	assert_non_null(mkdtemp(directory));
	assert_int_equal(chdir(directory), 0);
	make_files();
	bool could = holds(try_files);
	assert_int_equal(fchdir(here), 0);
	close(here);
	snprintf(command, sizeof command, "rm -rf %s", directory);
	assert_int_equal(system(command), 0);
	if (!could)
		skip();
}

/* One that is connected before stays, as systemd's does. */
static int try_abstract_sockets(void)
{
	struct err err;
	struct config config = {0};
	struct path_set paths = {0};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(sa_family_t);
	int bound = socket(AF_UNIX, SOCK_DGRAM, 0), early = socket(AF_UNIX, SOCK_DGRAM, 0);
	int late = socket(AF_UNIX, SOCK_DGRAM, 0);
	bind(bound, (struct sockaddr *)&address, len);
	len = sizeof address;
	getsockname(bound, (struct sockaddr *)&address, &len);
	if (connect(early, (struct sockaddr *)&address, len) < 0)
		return 1;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (sandbox_limit_files(&config, &paths, &err) < 6)
		return CANNOT;
	if (connect(late, (struct sockaddr *)&address, len) == 0 || errno != EPERM)
		return 2;
	if (sendto(early, "x", 1, 0, (struct sockaddr *)&address, len) != 1)
		return 3;
	return 0;
}

static void abstract_sockets_are_closed(void **state)
{
	(void)state;
	if (!holds(try_abstract_sockets))
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lets_through_what_is_listed),
		cmocka_unit_test(lets_nothing_else_through),
		cmocka_unit_test(other_calls_fail),
		cmocka_unit_test(other_files_are_closed),
		cmocka_unit_test(workers_have_fewer_calls),
		cmocka_unit_test(root_keeps_low_ports_alone),
		cmocka_unit_test(abstract_sockets_are_closed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
