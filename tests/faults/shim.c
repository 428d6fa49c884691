/* A library to preload into a run: it sees every call that changes the disk or hands work over, and
 * lets the harness put a fault to any one of them.
 *
 * It stands between Python and libc, so what is tested is the program as users run it: nothing is
 * compiled into the package, and a process without this library pays nothing. Calls are counted over
 * all threads of a process, and known by what they touch, not by file descriptors or temporary names.
 *
 * The environment tells it what to do:
 *   SHIM_RUN     the run's folder, as an absolute path
 *   SHIM_TRACE   a file to which each call is appended: role, pid, operation, kind, name
 *   SHIM_RECORD  a file to which each call is appended with its data, in the order of the effects
 *   SHIM_FAULT   role:operation:kind:number:action; "*" stands for any operation or kind
 *   SHIM_FIRED   a file that is made when the fault happens; a fault does not happen twice, unless
 *                its action ends in "+", which means this call and all later ones like it
 *
 * Roles are main and worker. Operations: open (of a file that is made, emptied or written), write,
 * fsync, syncfs, rename, unlink, truncate, mkdir. Kinds: journal, batch, index, checkpoint,
 * progress, series, ledger, log, identity, lock, archive, model, report, pipe (work handed over, or its
 * reply), and the folders folder, journals, batches, logs, archives, models, and parents (above the
 * run's).
 *
 * Actions: kill, kill-after (SIGKILL to this process, before or after the call), kill-torn (in the
 * middle of a write), kill-main, kill-workers, stop-workers (SIGSTOP), int, term, hup (to the main
 * process), int-twice (the second at the next call), short (half of a write), full (half of a write,
 * and from then on ENOSPC for every write and every new file), and an errno: EIO, ENOSPC, EACCES,
 * EDQUOT, EINTR, ENOSYS.
 *
 * With SHIM_DISK, the root of an ext4 file system of the run's own, the power can be cut there: all
 * that the file system did not write yet is gone, and so is the run. The action is cut, with any of
 * these words behind it: -log (its log is written before), -all (everything is), -some (the data of
 * every other file is), -tail (the last page of each is).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static bool active, is_worker;
static pid_t self; /* a child between fork and exec is none of ours */
static const char *role = "main";
static char run[PATH_MAX];
static size_t run_length;
static int trace_fd = -1, record_fd = -1;
static const char *fired, *disk;
static char want_role[16], want_op[16], want_kind[16], action[32];
static long want_number;
static bool sticky;
static atomic_long seen;
static atomic_bool disk_is_full, second_signal;
static pthread_mutex_t recording = PTHREAD_MUTEX_INITIALIZER;

enum { LARGEST_WAKE_UP = 16 }; /* bytes that an event loop writes to itself */

static void report(int fd, const char *data, size_t size) {
    while (size > 0) {
        long done = syscall(SYS_write, fd, data, size);
        if (done <= 0)
            return;
        data += done;
        size -= done;
    }
}

__attribute__((constructor)) static void start(void) {
    const char *folder = getenv("SHIM_RUN");
    if (folder == NULL)
        return;
    char command[4096];
    int fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY);
    long size = syscall(SYS_read, fd, command, sizeof command);
    syscall(SYS_close, fd);
    if (size <= 0 || memmem(command, size, "synexs_async", 12) == NULL)
        return;
    is_worker = memmem(command, size, "synexs_async.worker", 19) != NULL;
    self = getpid();
    role = is_worker ? "worker" : "main";
    run_length = strlen(strncpy(run, folder, sizeof run - 1));
    const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
    if (getenv("SHIM_TRACE"))
        trace_fd = syscall(SYS_openat, AT_FDCWD, getenv("SHIM_TRACE"), flags, 0666);
    if (getenv("SHIM_RECORD"))
        record_fd = syscall(SYS_openat, AT_FDCWD, getenv("SHIM_RECORD"), flags, 0666);
    fired = getenv("SHIM_FIRED");
    disk = getenv("SHIM_DISK");
    const char *fault = getenv("SHIM_FAULT");
    if (fault && sscanf(fault, "%15[^:]:%15[^:]:%15[^:]:%ld:%31s", want_role, want_op, want_kind,
                        &want_number, action) == 5) {
        size_t last = strlen(action) - 1;
        sticky = action[last] == '+';
        if (sticky)
            action[last] = 0;
    }
    active = true;
}

static bool is_ours(void) { return active && getpid() == self; }

/* What a path means in a run's folder; NULL where it means nothing. */
static const char *kind_of(const char *path) {
    static const struct { const char *part, *kind; } kinds[] = {
        {"missions/", "journal"}, {"batches/.training_index", "index"},
        {"batches/training_index", "index"}, {"batches/", "batch"}, {"logs/", "log"},
        {"archive/", "archive"}, {"models/", "model"}, {"checkpoint.json", "checkpoint"},
        {".checkpoint.json", "checkpoint"}, {"progress.json", "progress"},
        {".progress.json", "progress"}, {"ledger.jsonl", "ledger"}, {".ledger.jsonl", "ledger"},
        {"run.json", "identity"}, {".run.json", "identity"}, {"run.lock", "lock"},
        {"missions", "journals"}, {"batches", "batches"}, {"logs", "logs"},
        {"archive", "archives"}, {"models", "models"}, {"report.", "report"},
        {"series.jsonl", "series"}, {".series.jsonl", "series"},
        {".report.", "report"},
    };
    if (path == NULL)
        return NULL;
    size_t length = strlen(path);
    if (length < run_length && strncmp(path, run, length) == 0 && run[length] == '/')
        return "parents";
    if (strncmp(path, run, run_length) != 0)
        return NULL;
    if (path[run_length] == 0)
        return "folder";
    if (path[run_length] != '/')
        return NULL;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        if (strncmp(path + run_length + 1, kinds[k].part, strlen(kinds[k].part)) == 0)
            return kinds[k].kind;
    return NULL;
}

static const char *kind_of_fd(int fd, char path[PATH_MAX]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long size = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    if (size < 0)
        return NULL;
    path[size] = 0;
    if (fd > 2 && (strncmp(path, "pipe:", 5) == 0 || strncmp(path, "socket:", 7) == 0))
        return "pipe";
    return kind_of(path);
}

static void signal_workers(int number) {
    char path[64], list[4096], command[4096];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", getpid(), getpid());
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);
    long size = syscall(SYS_read, fd, list, sizeof list - 1);
    syscall(SYS_close, fd);
    list[size > 0 ? size : 0] = 0;
    char *rest = list;
    for (char *pid; (pid = strtok_r(rest, " ", &rest));) {
        snprintf(path, sizeof path, "/proc/%s/cmdline", pid);
        fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);
        size = syscall(SYS_read, fd, command, sizeof command);
        syscall(SYS_close, fd);
        if (size > 0 && memmem(command, size, "synexs_async.worker", 19))
            kill(atoi(pid), number);
    }
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Let the disk have a part of what it was not asked for yet, as it may at any moment. */
static int write_back(const char *path, const struct stat *file, int type, struct FTW *place) {
    (void)place;
    unsigned long hash = want_number;
    for (const char *c = path; *c; c++)
        hash = hash * 31 + *c;
    const bool tail = strstr(action, "-tail") != NULL;
    if (type != FTW_F || (!tail && hash % 2))
        return 0;
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);
    off_t start = tail && file->st_size > 0 ? (file->st_size - 1) & ~4095L : 0;
    sync_file_range(fd, start, 0, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    syscall(SYS_close, fd);
    return 0;
}

/* Cut the power of the run's own disk; of no other, so it must be the root of a file system. */
static void cut_power(void) {
    char above[PATH_MAX];
    struct stat root, parent;
    if (disk == NULL || snprintf(above, sizeof above, "%s/..", disk) >= PATH_MAX)
        abort();
    if (stat(disk, &root) != 0 || stat(above, &parent) != 0 || root.st_dev == parent.st_dev)
        abort();
    if (strstr(action, "-some") || strstr(action, "-tail"))
        nftw(run, write_back, 16, FTW_PHYS);
    int fd = syscall(SYS_openat, AT_FDCWD, disk, O_RDONLY | O_DIRECTORY);
    unsigned how = strstr(action, "-all") ? 0 : strstr(action, "-log") ? 1 : 2;
    if (ioctl(fd, 0x8004587dUL /* EXT4_IOC_SHUTDOWN */, &how) != 0)
        abort();
}

static int errno_named(const char *name) {
    static const struct { const char *name; int number; } numbers[] = {
        {"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EACCES", EACCES}, {"EDQUOT", EDQUOT}, {"EINTR", EINTR},
        {"ENOSYS", ENOSYS},
    };
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
        if (strcmp(name, numbers[k].name) == 0)
            return numbers[k].number;
    return 0;
}

enum outcome { GO_ON, FAIL, HALF, HALF_THEN_DIE, DIE_AFTER };

static bool takes_space(const char *op) {
    return strcmp(op, "write") == 0 || strcmp(op, "open") == 0 || strcmp(op, "mkdir") == 0;
}

/* Note a call that is about to happen, and say what shall become of it. */
static enum outcome meet(const char *op, const char *kind, const char *path) {
    if (trace_fd >= 0) {
        char line[PATH_MAX + 128];
        int size = snprintf(line, sizeof line, "%s\t%d\t%s\t%s\t%s\n", role, getpid(), op, kind, path);
        report(trace_fd, line, size);
    }
    if (atomic_exchange(&second_signal, false))
        kill(is_worker ? getppid() : getpid(), SIGINT);
    if (atomic_load(&disk_is_full) && takes_space(op) && strcmp(kind, "pipe") != 0) {
        errno = ENOSPC;
        return FAIL;
    }
    if (*action == 0 || strcmp(want_role, role) != 0)
        return GO_ON;
    if (strcmp(want_op, "*") != 0 && strcmp(want_op, op) != 0)
        return GO_ON;
    if (strcmp(want_kind, "*") != 0 && strcmp(want_kind, kind) != 0)
        return GO_ON;
    long number = atomic_fetch_add(&seen, 1) + 1;
    if (sticky ? number < want_number : number != want_number)
        return GO_ON;
    if (fired) {
        int fd = syscall(SYS_openat, AT_FDCWD, fired, O_WRONLY | O_CREAT | (sticky ? 0 : O_EXCL), 0666);
        if (fd < 0)
            return GO_ON;
        syscall(SYS_close, fd);
    }
    const int main_process = is_worker ? getppid() : self;
    if (strncmp(action, "cut", 3) == 0) {
        if (main_process != getpid())
            kill(main_process, SIGSTOP); /* it must not see that its disk is gone */
        cut_power();
        kill(main_process, SIGKILL);
        die();
    }
    if (strcmp(action, "kill") == 0)
        die();
    if (strcmp(action, "kill-after") == 0)
        return DIE_AFTER;
    if (strcmp(action, "kill-torn") == 0)
        return HALF_THEN_DIE;
    if (strcmp(action, "short") == 0)
        return HALF;
    if (strcmp(action, "full") == 0) {
        atomic_store(&disk_is_full, true);
        return HALF;
    }
    if (strcmp(action, "kill-main") == 0)
        kill(main_process, SIGKILL);
    if (strcmp(action, "kill-workers") == 0)
        signal_workers(SIGKILL);
    if (strcmp(action, "stop-workers") == 0)
        signal_workers(SIGSTOP);
    if (strcmp(action, "term") == 0)
        kill(main_process, SIGTERM);
    if (strcmp(action, "hup") == 0)
        kill(main_process, SIGHUP);
    if (strncmp(action, "int", 3) == 0)
        kill(main_process, SIGINT);
    if (strcmp(action, "int-twice") == 0)
        atomic_store(&second_signal, true);
    if (errno_named(action)) {
        errno = errno_named(action);
        return FAIL;
    }
    return GO_ON;
}

/* Effects are recorded in the order in which they happen, over all processes of the run. */
static void begin_effect(void) {
    if (record_fd < 0)
        return;
    pthread_mutex_lock(&recording);
    flock(record_fd, LOCK_EX);
}

static void end_effect(bool happened, const char *op, const char *path, const char *other,
                       long long offset, const void *data, size_t size) {
    if (record_fd < 0)
        return;
    int error = errno;
    if (happened) {
        char line[2 * PATH_MAX + 128];
        int length = snprintf(line, sizeof line, "%s\t%s\t%s\t%lld\t%zu\n", op, path,
                              other ? other : "", offset, size);
        report(record_fd, line, length);
        report(record_fd, data, size);
    }
    flock(record_fd, LOCK_UN);
    pthread_mutex_unlock(&recording);
    errno = error;
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (real == NULL) \
        real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    char path[PATH_MAX];
    const char *kind = is_ours() ? kind_of_fd(fd, path) : NULL;
    if (kind == NULL || (strcmp(kind, "pipe") == 0 && size <= LARGEST_WAKE_UP))
        return real(fd, data, size);
    enum outcome outcome = meet("write", kind, path);
    if (outcome == FAIL)
        return -1;
    if ((outcome == HALF || outcome == HALF_THEN_DIE) && size > 1)
        size /= 2;
    const bool is_file = strcmp(kind, "pipe") != 0;
    if (is_file)
        begin_effect();
    ssize_t done = real(fd, data, size);
    if (is_file)
        end_effect(done > 0, "write", path, NULL, lseek(fd, 0, SEEK_CUR) - done, data,
                   done > 0 ? done : 0);
    if (outcome == HALF_THEN_DIE || outcome == DIE_AFTER)
        die();
    return done;
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    REAL(writev);
    char path[PATH_MAX];
    const char *kind = is_ours() ? kind_of_fd(fd, path) : NULL;
    if (kind == NULL)
        return real(fd, pieces, count);
    return count > 0 ? write(fd, pieces[0].iov_base, pieces[0].iov_len) : 0;
}

/* Calls on one path, or on one descriptor, that either happen or fail. */
#define CALL(op, kind, path, other, call) \
    do { \
        enum outcome outcome = meet(op, kind, path); \
        if (outcome == FAIL) \
            return -1; \
        begin_effect(); \
        int result = call; \
        end_effect(result >= 0, op, path, other, 0, NULL, 0); \
        if (outcome == DIE_AFTER || outcome == HALF_THEN_DIE) \
            die(); \
        return result; \
    } while (0)

static int open_as(int folder, const char *path, int flags, mode_t mode) {
    static int (*real)(int, const char *, int, ...);
    if (real == NULL)
        real = dlsym(RTLD_NEXT, "openat");
    const bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT);
    const char *kind = is_ours() && writes && folder == AT_FDCWD ? kind_of(path) : NULL;
    if (kind == NULL)
        return real(folder, path, flags, mode);
    struct stat there;
    const bool exists = stat(path, &there) == 0;
    const char *op = "open";
    enum outcome outcome = meet(op, kind, path);
    if (outcome == FAIL)
        return -1;
    begin_effect();
    int fd = real(folder, path, flags, mode);
    end_effect(fd >= 0 && (!exists || (flags & O_TRUNC)), exists ? "truncate" : "create", path, NULL,
               0, NULL, 0);
    if (outcome == DIE_AFTER || outcome == HALF_THEN_DIE)
        die();
    return fd;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return open_as(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags)
    return open_as(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    MODE(flags)
    return open_as(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...) {
    MODE(flags)
    return open_as(folder, path, flags | O_LARGEFILE, mode);
}

int fsync(int fd) {
    REAL(fsync);
    char path[PATH_MAX];
    const char *kind = is_ours() ? kind_of_fd(fd, path) : NULL;
    if (kind == NULL)
        return real(fd);
    CALL("fsync", kind, path, NULL, real(fd));
}

int syncfs(int fd) {
    REAL(syncfs);
    char path[PATH_MAX];
    const char *kind = is_ours() ? kind_of_fd(fd, path) : NULL;
    if (kind == NULL)
        return real(fd);
    CALL("syncfs", kind, path, NULL, real(fd));
}

int rename(const char *from, const char *to) {
    REAL(rename);
    const char *kind = is_ours() ? kind_of(to) : NULL;
    if (kind == NULL)
        return real(from, to);
    CALL("rename", kind, from, to, real(from, to));
}

int unlink(const char *path) {
    REAL(unlink);
    const char *kind = is_ours() ? kind_of(path) : NULL;
    if (kind == NULL)
        return real(path);
    CALL("unlink", kind, path, NULL, real(path));
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    const char *kind = is_ours() ? kind_of(path) : NULL;
    if (kind == NULL)
        return real(path, mode);
    CALL("mkdir", kind, path, NULL, real(path, mode));
}

static int truncate_as(const char *path, off_t size) {
    static int (*real)(const char *, off_t);
    if (real == NULL)
        real = dlsym(RTLD_NEXT, "truncate64");
    const char *kind = is_ours() ? kind_of(path) : NULL;
    if (kind == NULL)
        return real(path, size);
    enum outcome outcome = meet("truncate", kind, path);
    if (outcome == FAIL)
        return -1;
    begin_effect();
    int result = real(path, size);
    end_effect(result == 0, "truncate", path, NULL, size, NULL, 0);
    if (outcome == DIE_AFTER || outcome == HALF_THEN_DIE)
        die();
    return result;
}

int truncate(const char *path, off_t size) { return truncate_as(path, size); }
int truncate64(const char *path, off64_t size) { return truncate_as(path, size); }

static int ftruncate_as(int fd, off_t size) {
    static int (*real)(int, off_t);
    if (real == NULL)
        real = dlsym(RTLD_NEXT, "ftruncate64");
    char path[PATH_MAX];
    const char *kind = is_ours() ? kind_of_fd(fd, path) : NULL;
    if (kind == NULL)
        return real(fd, size);
    enum outcome outcome = meet("truncate", kind, path);
    if (outcome == FAIL)
        return -1;
    begin_effect();
    int result = real(fd, size);
    end_effect(result == 0, "truncate", path, NULL, size, NULL, 0);
    if (outcome == DIE_AFTER || outcome == HALF_THEN_DIE)
        die();
    return result;
}

int ftruncate(int fd, off_t size) { return ftruncate_as(fd, size); }
int ftruncate64(int fd, off64_t size) { return ftruncate_as(fd, size); }
