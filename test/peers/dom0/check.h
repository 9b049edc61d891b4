/* What the clients of test/peers/dom0 share: a step a line, and the end of the program at the first that fails. */
#ifndef CHECK_H
#define CHECK_H
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                             \
    do {                                                                                             \
        if (!(condition)) {                                                                          \
            fprintf(stderr, "%s:%d: %s (errno %d, %s)\n", __FILE__, __LINE__, #condition, errno, strerror(errno)); \
            exit(1);                                                                                 \
        }                                                                                            \
    } while (0)
/* A call that fails with -1 and this errno. */
#define FAILS(call, number) \
    do {                    \
        errno = 0;          \
        CHECK((call) == -1 && errno == (number)); \
    } while (0)
#define STEP(what) (printf("%s\n", what), fflush(stdout))
#endif
