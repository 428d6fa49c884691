/* A library to preload into a run: its wall clock jumps, or stands still.
 *
 * CLOCK_JUMP=N   every 50th look at the clock jumps N seconds ahead, the next as far back
 * CLOCK_STOP=T   it is always T, in seconds since 1970
 *
 * The monotonic clock, by which programs should measure, is left alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static atomic_long looks;

static void set(struct timespec *time) {
    const char *jump = getenv("CLOCK_JUMP"), *stop = getenv("CLOCK_STOP");
    if (jump && atomic_fetch_add(&looks, 1) / 50 % 2)
        time->tv_sec += atol(jump);
    if (stop) {
        time->tv_sec = atol(stop);
        time->tv_nsec = 0;
    }
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL)
        real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        set(time);
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result)
        *result = now.tv_sec;
    return now.tv_sec;
}
