#include "admin/http.h"

#include "admin/host_rule.h"
#include "admin/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define CONNECTIONS_MAX 64u
#define CROWDED         48 /* from here on the quietest makes room for the next */
#define TIMEOUT_SECONDS 10u
#define REQUEST_MEMORY  ((size_t)16 * 1024) /* a head that is larger is answered 431 */
#define ADMIN_NICE      5

struct slot {
	int fd;          /* -1: free */
	uint64_t active; /* when it last began a request, as a turn of a counter */
};

struct http {
	struct listener *listener;
	struct MHD_Daemon *daemon; /* NULL: it does not serve yet */
	struct state *state;
	atomic_uint parts;
	/* the daemon's thread alone: */
	bool is_nice;
	uint64_t turn;
	struct slot slots[CONNECTIONS_MAX + 1];
	unsigned crowd;
};

#define JSON_TYPE "application/json"

static const struct page {
	const char *path;
	unsigned part;
	unsigned (*write)(struct state *state, struct strbuf *out);
	const char *type;
} pages[] = {
	{"/healthz", HTTP_HEALTH, page_healthz, JSON_TYPE},
	{"/readyz", HTTP_HEALTH, page_readyz, JSON_TYPE},
	{"/certz", HTTP_HEALTH, page_certz, JSON_TYPE},
	{"/status.json", HTTP_HEALTH, page_status_json, JSON_TYPE},
	{"/", HTTP_HEALTH, page_status, "text/html; charset=utf-8"},
	{"/metrics", HTTP_METRICS, page_metrics, "text/plain; version=0.0.4; charset=utf-8"},
};
#define PAGES (sizeof pages / sizeof *pages)

/* The page sends requests to its own listener only, and may not be framed. */
static const char *const headers[][2] = {
	{"Cache-Control", "no-store"},
	{"X-Content-Type-Options", "nosniff"},
	{"X-Frame-Options", "DENY"},
	{"Referrer-Policy", "no-referrer"},
	{"Content-Security-Policy",
		"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
		"connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'"},
};

/* Takes the body over. */
static enum MHD_Result http_answer(struct MHD_Connection *connection, unsigned status,
	const char *type, struct strbuf *body, const char *allow)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(body->len, body->at, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		strbuf_finish(body);
		return MHD_NO;
	}
	MHD_add_response_header(response, "Content-Type", type);
	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
		MHD_add_response_header(response, headers[i][0], headers[i][1]);
	if (allow)
		MHD_add_response_header(response, "Allow", allow);
	enum MHD_Result queued = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return queued;
}

static enum MHD_Result http_refuse(
	struct MHD_Connection *connection, unsigned status, const char *error, const char *allow)
{
	struct strbuf body = {0};
	struct json_out out = {.text = &body};
	json_out_object(&out, NULL);
	json_out_text(&out, "error", error);
	json_out_close(&out);
	strbuf_printf(&body, "\n");
	if (body.failed) {
		strbuf_finish(&body);
		return MHD_NO;
	}
	return http_answer(connection, status, JSON_TYPE, &body, allow);
}

static enum MHD_Result http_show_page(
	struct http *http, struct MHD_Connection *connection, const struct page *page)
{
	struct strbuf body = {0};
	unsigned status = page->write(http->state, &body);
	if (!body.failed)
		return http_answer(connection, status, page->type, &body, NULL);
	strbuf_finish(&body);
	return http_refuse(connection, 500, "out of memory", NULL);
}

static const struct page *page_find(const struct http *http, const char *path)
{
	unsigned parts = atomic_load(&http->parts);
	for (size_t i = 0; i < PAGES; i++)
		if (pages[i].part & parts && strcmp(pages[i].path, path) == 0)
			return &pages[i];
	return NULL;
}

static void note_activity(struct http *http, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct slot *slot = info ? info->socket_context : NULL;
	if (slot)
		slot->active = ++http->turn;
}

/* By "hosts" of what is served here. */
static bool is_configured_host(const struct http *http, const char *host)
{
	unsigned parts = atomic_load(&http->parts);
	struct published_state published;
	state_read(http->state, &published);
	if (!published.routes)
		return false;
	const struct config *config = routes_config(published.routes);
	const struct strings *health = &config->health.hosts, *metrics = &config->metrics.hosts;
	bool is_named =
		(parts & HTTP_HEALTH && host_rule_names(host, health->items, health->count)) ||
		(parts & HTTP_METRICS && host_rule_names(host, metrics->items, metrics->count));
	routes_unref(published.routes);
	return is_named;
}

/* No page of a site reaches a unix socket. */
static bool names_us(const struct http *http, struct MHD_Connection *connection)
{
	const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
	return strncmp(http->listener->text, "unix:", 5) == 0 ||
		host_rule_accepts(host, state_host_name(http->state)) ||
		is_configured_host(http, host);
}

/* Called for the head of a request, then for each part of its body, then at its end. */
static enum MHD_Result on_request(void *owner, struct MHD_Connection *connection, const char *path,
	const char *method, const char *version, const char *upload, size_t *upload_size,
	void **request)
{
	struct http *http = owner;
	(void)version, (void)upload;
	note_activity(http, connection);
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return http_refuse(connection, 405, "expected GET or HEAD", "GET, HEAD");
	if (!*request) {
		*request = http; /* anything: the head was heard */
		return MHD_YES;
	}
	if (*upload_size > 0) {
		*upload_size = 0; /* a body is ignored */
		return MHD_YES;
	}
	if (!names_us(http, connection))
		return http_refuse(connection, 421,
			"the Host header must be an IP address, a name without a dot, this "
			"machine's name, or one of \"hosts\": see HEALTH AND METRICS in "
			"gatehouse(8)",
			NULL);
	const struct page *page = page_find(http, path);
	return page ? http_show_page(http, connection, page)
		    : http_refuse(connection, 404, "no such page", NULL);
}

static void close_quietest(struct http *http)
{
	struct slot *quietest = NULL;
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		struct slot *slot = &http->slots[i];
		if (slot->fd >= 0 && (!quietest || slot->active < quietest->active))
			quietest = slot;
	}
	if (!quietest)
		return;
	shutdown(quietest->fd, SHUT_RDWR);
	quietest->active = UINT64_MAX; /* it is on its way out */
}

static void connection_enter(struct http *http, struct MHD_Connection *connection, void **context)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	unsigned i = 0;
	if (!http->is_nice)
		setpriority(PRIO_PROCESS, (id_t)gettid(), ADMIN_NICE);
	http->is_nice = true;
	if (http->crowd >= CROWDED)
		close_quietest(http);
	while (i < CONNECTIONS_MAX && http->slots[i].fd >= 0)
		i++;
	if (!info || i == CONNECTIONS_MAX)
		return;
	http->slots[i] = (struct slot){info->connect_fd, ++http->turn};
	http->crowd++;
	*context = &http->slots[i];
}

static void on_connection(void *owner, struct MHD_Connection *connection, void **context,
	enum MHD_ConnectionNotificationCode what)
{
	struct http *http = owner;
	struct slot *slot = *context;
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		connection_enter(http, connection, context);
	} else if (slot) {
		slot->fd = -1;
		http->crowd--;
	}
}

struct http *http_open(const char *listen, struct err *err)
{
	struct http *http = calloc(1, sizeof *http);
	if (!http) {
		err_no_memory(err);
		return NULL;
	}
	for (unsigned i = 0; i <= CONNECTIONS_MAX; i++)
		http->slots[i].fd = -1;
	http->listener = listener_open(listen, 1, err);
	if (http->listener)
		return http;
	http_close(http);
	return NULL;
}

const char *http_listens_on(const struct http *http)
{
	return http->listener->text;
}

/* MHD closes the descriptor that it is given: it gets one of its own. */
static bool http_start(struct http *http, struct err *err)
{
	int fd = fcntl(http->listener->fds[0], F_DUPFD_CLOEXEC, 3);
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* no signal is for that thread */
	if (fd >= 0)
		http->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0,
			NULL, NULL, on_request, http, MHD_OPTION_LISTEN_SOCKET, fd,
			MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
			TIMEOUT_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, REQUEST_MEMORY,
			MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_END);
	int error = errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!http->daemon) {
		err_set_errno(err, error, "cannot serve HTTP");
		if (fd >= 0)
			close(fd);
	}
	return http->daemon != NULL;
}

bool http_serve(struct http *http, unsigned parts, struct state *state, struct err *err)
{
	http->state = http->daemon ? http->state : state;
	atomic_store(&http->parts, parts);
	return http->daemon || http_start(http, err);
}

struct listener *http_listener(struct http *http)
{
	return http->listener;
}

void http_stop_listening(struct http *http)
{
	MHD_socket fd = http->daemon ? MHD_quiesce_daemon(http->daemon) : MHD_INVALID_SOCKET;
	if (fd != MHD_INVALID_SOCKET)
		close(fd);
	listener_shut(http->listener);
}

void http_close(struct http *http)
{
	if (!http)
		return;
	if (http->daemon)
		MHD_stop_daemon(http->daemon);
	listener_close(http->listener);
	free(http);
}
