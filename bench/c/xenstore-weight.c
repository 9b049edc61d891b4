/* Puts something into a xenstored and holds it while the daemon's memory is looked at from outside: after each stage a line of JSON,
 * then the next stage once a line came on standard input.
 *   xenstore-weight SOCKET nodes COUNT ROUNDS    nothing, then COUNT nodes
 *   xenstore-weight SOCKET watches COUNT ROUNDS  nothing, then COUNT watches of one connection
 *   xenstore-weight SOCKET clients COUNT ROUNDS  one client, then COUNT more that do nothing: median of its ROUNDS reads each time */
#include "xs-client.h"

static void stage(double ns)
{
    char line[16];

    printf("{\"ns\":%.0f}\n", ns);
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin))
        exit(1);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_read(int fd, int rounds)
{
    double *took = calloc(rounds, sizeof(double)), middle;

    for (int round = 0; round < rounds; round++) {
        double start = now();
        request(fd, XS_READ, "/weight", sizeof("/weight"));
        took[round] = now() - start;
    }
    qsort(took, rounds, sizeof(double), by_size);
    middle = took[rounds / 2];
    free(took);
    return middle;
}

int main(int argc, char **argv)
{
    char path[64], payload[128];
    int fd, count, rounds;

    if (argc != 5)
        return 2;
    socket_path = argv[1];
    count = atoi(argv[3]);
    rounds = atoi(argv[4]);
    fd = dial();
    request(fd, XS_WRITE, payload, strings(payload, "/weight", "value", 0));
    stage(median_read(fd, rounds));
    for (int i = 0; i < count; i++) {
        if (!strcmp(argv[2], "nodes")) {
            sprintf(path, "/weight/%d/%d", i / 1000, i % 1000);
            request(fd, XS_WRITE, payload, strings(payload, path, "value", 0));
        } else if (!strcmp(argv[2], "watches")) {
            sprintf(path, "token-%d", i);
            request(fd, XS_WATCH, payload, strings(payload, "/weight/none", path, 1));
        } else if (!strcmp(argv[2], "clients")) {
            request(dial(), XS_READ, "/weight", sizeof("/weight")); /* answered: the daemon has taken the connection */
        } else
            return 2;
    }
    stage(median_read(fd, rounds));
    return 0;
}
