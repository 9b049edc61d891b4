/* Loads a xenstored over its unix socket and prints one line of JSON.
 *   xenstore-load SOCKET clients COUNT ROUNDS   COUNT processes, each WRITE then READ of its own key, ROUNDS times
 *   xenstore-load SOCKET fanout WATCHES ROUNDS  one writer, one connection with WATCHES watches on what it writes
 *   xenstore-load SOCKET nodes COUNT ROUNDS     makes COUNT nodes, then reads ROUNDS of them and lists a small directory */
#include <sys/wait.h>

#include "xs-client.h"

static void clients(int count, int rounds)
{
    int ready[2], go[2];
    char byte;
    if (pipe(ready) || pipe(go))
        die("pipe");
    for (int i = 0; i < count; i++) {
        if (fork())
            continue;
        int fd = dial();
        char key[64], payload[128];
        sprintf(key, "/load/%d", i);
        request(fd, XS_WRITE, payload, strings(payload, key, "0", 0));
        if (write(ready[1], "", 1) != 1 || read(go[0], &byte, 1) != 1)
            die("start");
        for (int round = 0; round < rounds; round++) {
            char value[16];
            sprintf(value, "%d", round);
            request(fd, XS_WRITE, payload, strings(payload, key, value, 0));
            request(fd, XS_READ, key, strlen(key) + 1);
            if (strcmp(body, value)) {
                fprintf(stderr, "read %s, not %s\n", body, value);
                exit(1);
            }
        }
        exit(0);
    }
    for (int i = 0; i < count; i++)
        if (read(ready[0], &byte, 1) != 1)
            die("ready");
    double start = now();
    for (int i = 0; i < count; i++)
        if (write(go[1], "", 1) != 1)
            die("go");
    int status, bad = 0;
    while (wait(&status) > 0)
        bad |= status;
    double ns = now() - start;
    if (bad)
        exit(1);
    printf("{\"requestsPerSecond\":%.0f}\n", 2.0 * count * rounds / ns * 1e9);
}

static void fanout(int watches, int rounds)
{
    int watcher = dial(), writer = dial();
    char token[32], payload[128];
    for (int i = 0; i < watches; i++) {
        sprintf(token, "token-%d", i);
        request(watcher, XS_WATCH, payload, strings(payload, "/fanout", token, 1));
        if (receive(watcher) != XS_WATCH_EVENT)
            die("first event");
    }
    double start = now();
    for (int round = 0; round < rounds; round++) {
        request(writer, XS_WRITE, payload, strings(payload, "/fanout/x", "value", 0));
        for (int i = 0; i < watches; i++)
            if (receive(watcher) != XS_WATCH_EVENT)
                die("event");
    }
    printf("{\"nsPerWrite\":%.0f,\"nsPerEvent\":%.0f}\n", (now() - start) / rounds, (now() - start) / rounds / watches);
}

static double timed(int fd, uint32_t type, const char *format, int modulus, int rounds)
{
    char path[64];
    unsigned at = 1;
    double start = now();
    for (int round = 0; round < rounds; round++) {
        at = at * 1103515245u + 12345u;
        unsigned n = (at >> 8) % modulus;
        sprintf(path, format, n / 1000, n % 1000);
        request(fd, type, path, strlen(path) + 1);
    }
    return (now() - start) / rounds;
}

static void nodes(int count, int rounds)
{
    int fd = dial();
    char path[64], payload[128];
    request(fd, XS_WRITE, payload, strings(payload, "/nodes/0/0", "value", 0));
    double before = timed(fd, XS_READ, "/nodes/%u/%u", 1, rounds);
    double start = now();
    for (int i = 0; i < count; i++) {
        sprintf(path, "/nodes/%d/%d", i / 1000, i % 1000);
        request(fd, XS_WRITE, payload, strings(payload, path, "value", 0));
    }
    double make = (now() - start) / count;
    double after = timed(fd, XS_READ, "/nodes/%u/%u", count, rounds);
    printf("{\"nsPerNode\":%.0f,\"readNsSmall\":%.0f,\"readNsFull\":%.0f}\n", make, before, after);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    socket_path = argv[1];
    int count = atoi(argv[3]), rounds = atoi(argv[4]);
    if (!strcmp(argv[2], "clients"))
        clients(count, rounds);
    else if (!strcmp(argv[2], "fanout"))
        fanout(count, rounds);
    else if (!strcmp(argv[2], "nodes"))
        nodes(count, rounds);
    else
        return 2;
    return 0;
}
