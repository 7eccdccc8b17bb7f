/* Lets single allocations of a program under test fail. The source is built twice: as a shared object for
 * LD_PRELOAD, which numbers the allocations of the process, and as a program that arms it by a file that
 * both map. The calls of glibc itself (strdup, fopen, asprintf, pthread_create) and of libraries count. */
#include "tool.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static const char help[] =
	"usage: nomem FILE off | count | fail FIRST [COUNT] | show\n"
	"Of programs under LD_PRELOAD=nomem.so NOMEM=FILE. FILE must be there when they start; \"nomem FILE\n"
	"off\" makes it. \"count\" numbers the allocations from now on, from 1; \"fail\" does so too, and those\n"
	"from FIRST on fail with ENOMEM (one, or COUNT); \"show\" prints how many were made, how many failed,\n"
	"and who made the last that failed. NOMEM_THREADS=main or others limits it to some threads.\n";

#define EXPORT __attribute__((visibility("default")))

/* tests/e2e/tools/nomem-sweep knows this layout. */
static struct shared {
	_Atomic uint64_t calls;  /* since it was armed */
	_Atomic uint64_t failed; /* of these */
	_Atomic uint64_t first;  /* the number of the first that fails; 0: none */
	_Atomic uint64_t count;  /* how many fail */
	_Atomic uint64_t is_armed;
	_Atomic uint64_t is_own; /* those on behalf of OpenSSL, nearly all, are not counted */
	char crash[4000];        /* where the process ended by a signal, innermost first */
	char trace[4000];        /* of the last that failed, innermost first */
} * shared;

enum threads { ALL_THREADS, MAIN_THREAD, OTHER_THREADS };
static enum threads threads;
static bool is_child; /* a forked process is not under test */
static __thread bool is_inside __attribute__((tls_model("initial-exec")));

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *at, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static void on_fork(void)
{
	is_child = true;
}

static void append_frame(char *out, size_t size, void *address)
{
	Dl_info info;
	size_t len = strlen(out);
	if (!dladdr(address, &info) || !info.dli_fname)
		return;
	const char *slash = strrchr(info.dli_fname, '/');
	snprintf(out + len, size - len, "%s+%#tx(%s) ", slash ? slash + 1 : info.dli_fname,
		(char *)address - (char *)info.dli_fbase, info.dli_sname ? info.dli_sname : "");
}

static void trace(char *out, size_t size)
{
	void *frames[40];
	int count = backtrace(frames, 40);
	out[0] = '\0';
	for (int i = 2; i < count; i++)
		append_frame(out, size, frames[i]);
}

static void on_crash(int number)
{
	is_inside = true;
	trace(shared->crash, sizeof shared->crash);
	signal(number, SIG_DFL);
	raise(number);
}

/* Where OpenSSL's libraries are. */
static struct range {
	uintptr_t from, to;
} openssl[2];

static int find_openssl(struct dl_phdr_info *info, size_t size, void *count)
{
	unsigned *found = count;
	(void)size;
	if (*found == 2 ||
		(!strstr(info->dlpi_name, "libcrypto") && !strstr(info->dlpi_name, "libssl")))
		return 0;
	struct range *range = &openssl[(*found)++];
	range->from = info->dlpi_addr;
	for (unsigned i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD)
			range->to = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr +
				info->dlpi_phdr[i].p_memsz;
	return 0;
}

__attribute__((constructor)) static void map_shared(void)
{
	const char *path = getenv("NOMEM"), *limit = getenv("NOMEM_THREADS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	if (limit)
		threads = strcmp(limit, "main") == 0 ? MAIN_THREAD : OTHER_THREADS;
	void *mapped = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (mapped == MAP_FAILED)
		die("nomem: %s: %s", path, strerror(errno));
	void *frame;
	backtrace(&frame, 1); /* loads what it needs, while there is memory */
	unsigned found = 0;
	dl_iterate_phdr(find_openssl, &found);
	pthread_atfork(NULL, NULL, on_fork);
	shared = mapped;
	signal(SIGSEGV, on_crash);
	signal(SIGABRT, on_crash);
}

static bool is_openssl(void)
{
	void *frames[40];
	is_inside = true;
	int count = backtrace(frames, 40);
	is_inside = false;
	for (int i = 0; i < count; i++)
		for (int j = 0; j < 2; j++)
			if ((uintptr_t)frames[i] >= openssl[j].from &&
				(uintptr_t)frames[i] < openssl[j].to)
				return true;
	return false;
}

static bool is_thread_counted(void)
{
	bool is_main = threads == ALL_THREADS || syscall(SYS_gettid) == getpid();
	return threads == ALL_THREADS || is_main == (threads == MAIN_THREAD);
}

static bool fails(void)
{
	if (!shared || is_child || is_inside || !atomic_load(&shared->is_armed) ||
		!is_thread_counted())
		return false;
	if (atomic_load(&shared->is_own) && is_openssl())
		return false;
	uint64_t number = atomic_fetch_add(&shared->calls, 1) + 1;
	uint64_t first = atomic_load(&shared->first);
	if (first == 0 || number < first || number - first >= atomic_load(&shared->count))
		return false;
	atomic_fetch_add(&shared->failed, 1);
	is_inside = true;
	trace(shared->trace, sizeof shared->trace);
	is_inside = false;
	errno = ENOMEM;
	return true;
}

EXPORT void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
	return fails() ? NULL : __libc_calloc(count, size);
}

EXPORT void *realloc(void *at, size_t size)
{
	return size > 0 && fails() ? NULL : __libc_realloc(at, size);
}

EXPORT void *reallocarray(void *at, size_t count, size_t size)
{
	size_t bytes;
	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(at, bytes);
}

EXPORT void *memalign(size_t alignment, size_t size)
{
	return fails() ? NULL : __libc_memalign(alignment, size);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t size)
{
	void *at = memalign(alignment, size);
	if (!at)
		return ENOMEM;
	*out = at;
	return 0;
}

static struct shared *open_shared(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0 || ftruncate(fd, sizeof *shared) < 0)
		die("%s: %s", path, strerror(errno));
	void *mapped = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapped == MAP_FAILED)
		die("%s: %s", path, strerror(errno));
	close(fd);
	return mapped;
}

static void arm(struct shared *at, bool is_armed, uint64_t first, uint64_t count)
{
	atomic_store(&at->is_armed, 0);
	at->calls = at->failed = 0;
	at->trace[0] = at->crash[0] = '\0';
	at->first = first;
	at->count = count;
	atomic_store(&at->is_armed, is_armed);
}

int main(int argc, char **argv)
{
	const char *word = argc >= 3 ? argv[2] : "";
	struct shared *at = argc >= 3 ? open_shared(argv[1]) : NULL;
	if (strcmp(word, "off") == 0 && argc == 3)
		arm(at, false, 0, 0);
	else if (strcmp(word, "count") == 0 && argc == 3)
		arm(at, true, 0, 0);
	else if (strcmp(word, "fail") == 0 && (argc == 4 || argc == 5))
		arm(at, true, (uint64_t)number(argv[3], 1, LONG_MAX),
			argc == 5 ? (uint64_t)number(argv[4], 1, LONG_MAX) : 1);
	else if (strcmp(word, "show") == 0 && argc == 3)
		printf("calls %lu\nfailed %lu\ntrace %s\ncrash %s\n", at->calls, at->failed,
			at->trace, at->crash);
	else
		show_help(help, '?');
	return 0;
}
