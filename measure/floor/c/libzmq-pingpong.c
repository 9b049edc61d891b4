/* ZeroMQ's own floor: a DEALER and a ROUTER in two processes over ipc, one small message each way.
 * libzmq-pingpong ROUNDS ENDPOINT    Prints one-way nanoseconds (half of each round trip) as "p50 p99 p999 max". */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void echo(const char *endpoint)
{
	void *context = zmq_ctx_new(), *router = zmq_socket(context, ZMQ_ROUTER);
	char id[64], body[64];
	if (zmq_bind(router, endpoint) != 0)
		exit(1);
	for (;;) {
		int id_size = zmq_recv(router, id, sizeof(id), 0), size = zmq_recv(router, body, sizeof(body), 0);
		if (id_size < 0 || size < 0)
			exit(1);
		zmq_send(router, id, (size_t)id_size, ZMQ_SNDMORE);
		zmq_send(router, body, (size_t)size, 0);
	}
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	long rounds = atol(argv[1]);
	if (rounds < 1 || rounds > 10000000)
		return 2;
	uint64_t *ns = malloc((size_t)rounds * sizeof(*ns));
	pid_t child = fork();
	if (!ns || child < 0)
		return 1;
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		echo(argv[2]);
	}
	void *context = zmq_ctx_new(), *dealer = zmq_socket(context, ZMQ_DEALER);
	char body[32] = { 0 };
	if (zmq_connect(dealer, argv[2]) != 0)
		return 1;
	for (long i = -rounds / 10 - 1; i < rounds; i++) {
		uint64_t start = now_ns();
		if (zmq_send(dealer, body, sizeof(body), 0) < 0 || zmq_recv(dealer, body, sizeof(body), 0) < 0)
			return 1;
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
