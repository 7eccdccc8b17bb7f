#include "upgrade/returned.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for one descriptor, aligned as a header. */
union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
};

bool returned_send(int channel, int fd, const struct returned_from *from)
{
	union control control = {0};
	struct iovec data = {.iov_base = (void *)from, .iov_len = sizeof *from};
	struct msghdr message = {.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof control.room};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	*header = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(header), &fd, sizeof fd);
	return sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof *from;
}

static int take_descriptor(struct msghdr *message)
{
	int fd;
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
		header->cmsg_len != CMSG_LEN(sizeof fd))
		return -1;
	memcpy(&fd, CMSG_DATA(header), sizeof fd);
	return fd;
}

enum returned returned_receive(int channel, int *fd, struct returned_from *from)
{
	union control control;
	struct iovec data = {.iov_base = from, .iov_len = sizeof *from};
	struct msghdr message = {.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof control.room};
	ssize_t len = recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return RETURNED_NONE;
	if (len <= 0)
		return RETURNED_END;
	*fd = take_descriptor(&message);
	from->listener[RETURNED_LISTENER_MAX - 1] = '\0';
	if (len == (ssize_t)sizeof *from && *fd >= 0)
		return RETURNED_ONE;
	if (*fd >= 0) /* a message in parts: the next one cannot be told from its rest */
		close(*fd);
	return RETURNED_END;
}
