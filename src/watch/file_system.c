#include "watch/file_system.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/vfs.h>

/* The numbers are statfs(2)'s. */
static const uint32_t silent_file_systems[] = {
	0x65735546, /* FUSE, virtiofs */
	0x00006969, /* NFS */
	0xff534d42, /* CIFS */
	0xfe534d42, /* SMB2 */
	0x0000517b, /* smbfs */
	0x01021997, /* 9p */
	0x00c36400, /* Ceph */
	0x5346414f, /* AFS: OpenAFS */
	0x6b414653, /* AFS: the kernel's */
	0x73757245, /* Coda */
	0x7461636f, /* OCFS2 */
	0x01161970, /* GFS2 */
	0x0bd00bd0, /* Lustre */
	0x47504653, /* GPFS */
	0x19830326, /* BeeGFS */
	0x0000f15f, /* eCryptfs */
	0x786f4256, /* VirtualBox's shared folders */
	0xbacbacbc, /* VMware's */
};

bool file_system_is_silent(const char *path)
{
	struct statfs info;
	if (statfs(path, &info) < 0)
		return false;
	for (size_t i = 0; i < sizeof silent_file_systems / sizeof *silent_file_systems; i++)
		if (silent_file_systems[i] == (uint32_t)info.f_type)
			return true;
	return false;
}
