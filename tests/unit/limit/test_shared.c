/* SPDX-License-Identifier: Apache-2.0 */
/* Several processes charge the same counters while some of them are killed. */
#include "engine/limit/limit.h"

#include "tests/unit/limit/scratch.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { PROCESSES = 4, CHARGES = 100000 };

/* What a child tells: the time of each of its admissions. It writes the time first, then counts. */
typedef struct diary {
    uint32_t admitted[PROCESSES];
    bool done[PROCESSES];
    dv_time times[PROCESSES][CHARGES];
} diary;

static diary *diary_new(void)
{
    diary *d = mmap(NULL, sizeof(*d), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(d, MAP_FAILED);
    return d;
}

typedef struct plan {
    const char *path;
    dv_limit_charge charges[3];
    dv_time fixed_now;   /* 0: the wall clock */
    bool shared_mapping; /* inherited over fork, otherwise opened by each child */
} plan;

static void child_run(scratch *s, plan *p, diary *d, int me)
{
    dv_limit_state state;
    scratch own = *s;

    if (!p->shared_mapping) {
        if (dv_counters_open(p->path, 1000, &own.counters, &own.replaced, NULL) != DV_OK ||
            own.replaced) {
            _exit(1);
        }
        s = &own;
    }
    for (int i = 0; i < CHARGES; i++) {
        dv_time now = p->fixed_now != 0 ? p->fixed_now : dv_time_now();
        if (dv_limit_charge_all(s->counters, p->charges, 3, now, &state) != DV_OK || state.full) {
            _exit(2);
        }
        if (state.admitted) {
            d->times[me][d->admitted[me]] = now;
            __atomic_store_n(&d->admitted[me], d->admitted[me] + 1, __ATOMIC_RELEASE);
        }
    }
    __atomic_store_n(&d->done[me], true, __ATOMIC_RELEASE);
    _exit(0);
}

static void wait_for_admissions(const diary *d, int child, uint32_t wanted)
{
    dv_time until = dv_time_monotonic() + 30 * DV_SECOND;

    while (__atomic_load_n(&d->admitted[child], __ATOMIC_ACQUIRE) < wanted &&
           !__atomic_load_n(&d->done[child], __ATOMIC_ACQUIRE)) {
        assert_true(dv_time_monotonic() < until);
        usleep(200);
    }
}

/* Runs the children and kills the first `kills` of them on their way. */
static void run(scratch *s, plan *p, diary *d, int kills)
{
    pid_t children[PROCESSES];
    int status = 0;

    for (int i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            child_run(s, p, d, i);
        }
    }
    for (int i = 0; i < kills; i++) {
        wait_for_admissions(d, i, 50u * (unsigned)(i + 1));
        kill(children[i], SIGKILL);
    }
    for (int i = 0; i < PROCESSES; i++) {
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_true(i < kills || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    }
}

static uint64_t total_admitted(const diary *d)
{
    uint64_t total = 0;

    for (int i = 0; i < PROCESSES; i++) {
        total += d->admitted[i];
    }
    return total;
}

static plan plan_for(const scratch *s, dv_limit_rate tight, bool shared_mapping)
{
    plan p = {.path = s->path, .shared_mapping = shared_mapping};

    /* The order differs from that of the shards; the tight one decides. */
    p.charges[0] = (dv_limit_charge){DV_LIT("address/10.0.0.1"), {1 << 30, DV_SECOND, 0}, 1, true};
    p.charges[1] = (dv_limit_charge){DV_LIT("key/Ab3dEf9h"), tight, 1, false};
    p.charges[2] = (dv_limit_charge){DV_LIT("group/ml"), {1 << 30, DV_SECOND, 0}, 1, false};
    return p;
}

/* With a clock that stands still, exactly the burst is admitted, by whomever. */
static void standing_clock_admits_exactly_the_burst(void **unused)
{
    for (int shared = 0; shared < 2; shared++) {
        scratch s = scratch_new(1000);
        diary *d = diary_new();
        plan p = plan_for(&s, (dv_limit_rate){150000, 3600 * DV_SECOND, 150000}, shared == 1);

        p.fixed_now = 1700000000 * DV_SECOND;
        run(&s, &p, d, 0);
        assert_int_equal(total_admitted(d), 150000);
        munmap(d, sizeof(*d));
        scratch_end(&s);
    }
}

/* A killed process takes at most the one permit with it that it was about to use. */
static void killed_processes_lose_one_permit_at_most(void **unused)
{
    scratch s = scratch_new(1000);
    diary *d = diary_new();
    plan p = plan_for(&s, (dv_limit_rate){150000, 3600 * DV_SECOND, 150000}, false);

    p.fixed_now = 1700000000 * DV_SECOND;
    run(&s, &p, d, 3);
    uint64_t most = 150000, left = CHARGES; /* one process is never killed */
    assert_true(total_admitted(d) <= most);
    assert_true(total_admitted(d) >= DV_MIN(most - 3, left));
    munmap(d, sizeof(*d));
    scratch_end(&s);
}

static int compare_times(const void *a, const void *b)
{
    dv_time x = *(const dv_time *)a, y = *(const dv_time *)b;

    return x < y ? -1 : x > y;
}

/* In every interval at most burst + rate * time: with each admission a leaky bucket of the same
 * size and rate is filled, and never runs over. */
static void check_intervals(const diary *d, dv_limit_rate rate)
{
    size_t total = total_admitted(d), at = 0;
    dv_time *times = malloc(total * sizeof(*times));
    unsigned __int128 level = 0;

    assert_non_null(times);
    for (int i = 0; i < PROCESSES; i++) {
        memcpy(times + at, d->times[i], d->admitted[i] * sizeof(*times));
        at += d->admitted[i];
    }
    qsort(times, total, sizeof(*times), compare_times);
    for (size_t i = 0; i < total; i++) {
        unsigned __int128 gone =
            i == 0 ? 0 : (unsigned __int128)(times[i] - times[i - 1]) * rate.count;
        level = (level > gone ? level - gone : 0) + (unsigned __int128)rate.period;
        assert_true(level <= (unsigned __int128)rate.burst * (unsigned __int128)rate.period);
    }
    free(times);
}

static void every_interval_keeps_the_rate_under_kills(void **unused)
{
    scratch s = scratch_new(1000);
    diary *d = diary_new();
    dv_limit_rate rate = {200003, DV_SECOND, 100};
    plan p = plan_for(&s, rate, false);

    run(&s, &p, d, 3);
    assert_true(total_admitted(d) > 200);
    check_intervals(d, rate);
    munmap(d, sizeof(*d));
    scratch_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standing_clock_admits_exactly_the_burst),
        cmocka_unit_test(killed_processes_lose_one_permit_at_most),
        cmocka_unit_test(every_interval_keeps_the_rate_under_kills),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
