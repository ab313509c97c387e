/* A disk that fails when it is told to, and that keeps a record of what it was asked.

   Preloaded into a service (LD_PRELOAD). It looks at the folder DISK_ROOT only.

   DISK_ORDER names a file whose text is an order, read at each call:
     28, 30, 5      what needs new room (ENOSPC), every write (EROFS, EIO) fails with that errno
     kill 7         the seventh write into the database itself, which is what a checkpoint does,
                    is made by half, and the process killed
   DISK_RECORD names a file to which is appended, in the order in which it happened:
     W name offset size, and the bytes that were written      B name, E name: a sync begins, ends
     T name size: cut or made longer                          S - 0 size: the head of a 2xx answer */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define HEAD 1000

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static int writes_until_death;

/* --- what it looks at --------------------------------------------------------------------- */

/* The path from the root on, "." of the root itself; NULL of what is elsewhere. */
static const char *below_root(const char *path) {
    const char *root = getenv("DISK_ROOT");
    size_t length = root ? strlen(root) : 0;
    if (!length || strncmp(path, root, length)) return NULL;
    if (!path[length]) return ".";
    return path[length] == '/' ? path + length + 1 : NULL;
}

static const char *name_of(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0) return NULL;
    path[length] = 0;
    return below_root(path);
}

static int order(char *text, size_t size) {
    const char *path = getenv("DISK_ORDER");
    int fd = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0) : -1;
    if (fd < 0) return 0;
    ssize_t length = syscall(SYS_read, fd, text, size - 1);
    syscall(SYS_close, fd);
    text[length > 0 ? length : 0] = 0;
    return length > 0;
}

/* --- what it writes down ------------------------------------------------------------------ */

static void record(char kind, const char *name, long long offset, long long size,
                   const void *data, size_t shown) {
    static int fd = -1;
    const char *path = getenv("DISK_RECORD");
    if (!path) return;
    if (fd < 0) fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    char line[600];
    int length = snprintf(line, sizeof line, "%c %s %lld %lld\n", kind, name, offset, size);
    struct iovec parts[] = {{line, length}, {(void *)data, shown}};
    syscall(SYS_writev, fd, parts, shown ? 2 : 1);
}

/* --- how it fails ------------------------------------------------------------------------- */

/* The errno with which a write fails now, or 0. `grows`: it needs room that it does not have. */
static int failure(int grows) {
    char text[32];
    int number = order(text, sizeof text) ? atoi(text) : 0;
    return number == ENOSPC && !grows ? 0 : number;
}

static int is_growing(int fd, off64_t end) {
    struct stat64 found;
    return fstat64(fd, &found) || end > found.st_size;
}

static void perhaps_die(int fd, const char *name, const void *data, size_t size, off64_t offset) {
    char text[32];
    int number;
    if (strcmp(name, "jobspool.db") || !order(text, sizeof text)) return;
    if (sscanf(text, "kill %d", &number) != 1 || ++writes_until_death < number) return;
    if (unlink(getenv("DISK_ORDER"))) return; /* another process did */
    syscall(SYS_pwrite64, fd, data, size / 2, offset);
    kill(getpid(), SIGKILL);
}

/* --- what is asked of it ------------------------------------------------------------------ */

static ssize_t put(int fd, const void *data, size_t size, off64_t offset, int moves) {
    char path[512];
    const char *name = name_of(fd, path, sizeof path);
    if (!name) return moves ? syscall(SYS_write, fd, data, size)
                            : syscall(SYS_pwrite64, fd, data, size, offset);
    int number = failure(is_growing(fd, offset + size));
    if (number) return errno = number, -1;
    perhaps_die(fd, name, data, size, offset);
    pthread_mutex_lock(&one_at_a_time);
    ssize_t done = moves ? syscall(SYS_write, fd, data, size)
                         : syscall(SYS_pwrite64, fd, data, size, offset);
    if (done > 0) record('W', name, offset, done, data, done);
    pthread_mutex_unlock(&one_at_a_time);
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    return put(fd, data, size, offset, 0);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    return put(fd, data, size, offset, 0);
}

ssize_t write(int fd, const void *data, size_t size) {
    return put(fd, data, size, lseek64(fd, 0, SEEK_CUR), 1);
}

static int cut(int fd, off64_t size) {
    char path[512];
    const char *name = name_of(fd, path, sizeof path);
    int number = name ? failure(is_growing(fd, size)) : 0;
    if (number) return errno = number, -1;
    pthread_mutex_lock(&one_at_a_time);
    int done = syscall(SYS_ftruncate, fd, size);
    if (name && !done) record('T', name, 0, size, NULL, 0);
    pthread_mutex_unlock(&one_at_a_time);
    return done;
}

int ftruncate(int fd, off_t size) { return cut(fd, size); }
int ftruncate64(int fd, off64_t size) { return cut(fd, size); }

static int sync_it(int fd, long call) {
    char path[512];
    const char *name = name_of(fd, path, sizeof path);
    if (!name) return syscall(call, fd);
    record('B', name, 0, 0, NULL, 0);
    int done = syscall(call, fd);
    if (!done) record('E', name, 0, 0, NULL, 0);
    return done;
}

int fsync(int fd) { return sync_it(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_it(fd, SYS_fdatasync); }

ssize_t send(int fd, const void *data, size_t size, int flags) {
    if (size > 12 && !memcmp(data, "HTTP/1.1 2", 10))
        record('S', "-", 0, size < HEAD ? size : HEAD, data, size < HEAD ? size : HEAD);
    return sendto(fd, data, size, flags, NULL, 0);
}

static int open_it(const char *path, int flags, mode_t mode) {
    if (flags & (O_WRONLY | O_RDWR) && below_root(path)) {
        int number = failure(flags & O_CREAT && access(path, F_OK));
        if (number) return errno = number, -1;
    }
    return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

#define OPENING(name)                                       \
    int name(const char *path, int flags, ...) {            \
        va_list more;                                       \
        va_start(more, flags);                              \
        mode_t mode = va_arg(more, mode_t);                 \
        va_end(more);                                       \
        return open_it(path, flags, mode);                  \
    }

OPENING(open)
OPENING(open64)

int mkdir(const char *path, mode_t mode) {
    int number = below_root(path) ? failure(1) : 0;
    if (number) return errno = number, -1;
    return syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}
