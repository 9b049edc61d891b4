/* The floor of the latency figures: two processes, each blocked in read() of an eventfd until the other writes.
 * eventfd-pingpong ROUNDS CPU_A CPU_B GAP_US    (a CPU of -1: not pinned; GAP_US: idle time before each round)
 * Prints one-way nanoseconds (half of each round trip) as "p50 p99 p999 max". */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void pin(int cpu)
{
	cpu_set_t set;
	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0) {
		perror("sched_setaffinity");
		exit(1);
	}
}

static void give(int fd)
{
	uint64_t one = 1;
	if (write(fd, &one, sizeof(one)) != sizeof(one))
		exit(1);
}

static void take(int fd)
{
	uint64_t count;
	if (read(fd, &count, sizeof(count)) != sizeof(count))
		exit(1);
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	if (argc != 5)
		return 2;
	long rounds = atol(argv[1]), gap_us = atol(argv[4]);
	if (rounds < 1 || rounds > 10000000)
		return 2;
	uint64_t *ns = malloc((size_t)rounds * sizeof(*ns));
	int ping = eventfd(0, 0), pong = eventfd(0, 0);
	if (!ns || ping < 0 || pong < 0)
		return 1;
	pid_t child = fork();
	if (child < 0)
		return 1;
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pin(atoi(argv[3]));
		for (;;) {
			take(ping);
			give(pong);
		}
	}
	pin(atoi(argv[2]));
	for (long i = -rounds / 10; i < rounds; i++) {
		if (gap_us > 0) {
			struct timespec gap = { gap_us / 1000000, gap_us % 1000000 * 1000 };
			nanosleep(&gap, NULL);
		}
		uint64_t start = now_ns();
		give(ping);
		take(pong);
		if (i >= 0)
			ns[i] = (now_ns() - start) / 2;
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	qsort(ns, (size_t)rounds, sizeof(*ns), ascending);
	printf("%llu %llu %llu %llu\n", (unsigned long long)ns[rounds / 2], (unsigned long long)ns[rounds * 99 / 100],
	       (unsigned long long)ns[rounds * 999 / 1000], (unsigned long long)ns[rounds - 1]);
	return 0;
}
