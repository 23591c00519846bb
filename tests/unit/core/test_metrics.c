/* SPDX-License-Identifier: Apache-2.0 */
/* Counters that several processes share: nothing is lost, and a bad file is believed in nothing. */
#include "core/metrics.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { CHILDREN = 4, ROUNDS = 20000 };

typedef struct seen {
    const char *series;
    uint64_t value;
    size_t count;
    size_t all;
} seen;

static void look(void *data, const char *series, uint64_t value)
{
    seen *wanted = data;
    wanted->all++;
    if (strcmp(series, wanted->series) == 0) {
        wanted->value = value;
        wanted->count++;
    }
}

static int setup(void **state)
{
    char folder[] = "/tmp/dvara-metrics-XXXXXX";
    char *path = NULL;
    if (mkdtemp(folder) == NULL || asprintf(&path, "%s/metrics", folder) < 0) {
        return 1;
    }
    *state = path;
    return 0;
}

static int teardown(void **state)
{
    char *path = *state;
    unlink(path);
    *strrchr(path, '/') = '\0';
    rmdir(path);
    free(path);
    return 0;
}

static dv_metrics *open_file(const char *path)
{
    dv_metrics *metrics = NULL;
    dv_error error = {0};
    assert_int_equal(dv_metrics_open(path, 0660, &metrics, &error), DV_OK);
    return metrics;
}

static seen read_file(const char *path, const char *series)
{
    seen wanted = {.series = series};
    dv_error error = {0};
    assert_int_equal(dv_metrics_read(path, look, &wanted, &error), DV_OK);
    return wanted;
}

static void counts_and_outlives(void **state)
{
    dv_metrics *metrics = open_file(*state);
    dv_metric_add(dv_metrics_cell(metrics, "a_total{x=\"1\"}"), 2);
    dv_metric_add(dv_metrics_cell(metrics, "a_total{x=\"1\"}"), 3);
    assert_ptr_equal(dv_metrics_cell(metrics, "a_total"), dv_metrics_cell(metrics, "a_total"));
    dv_metrics_close(metrics);
    metrics = open_file(*state);
    dv_metric_add(dv_metrics_cell(metrics, "a_total{x=\"1\"}"), 5);
    dv_metrics_close(metrics);
    assert_int_equal(read_file(*state, "a_total{x=\"1\"}").value, 10);
    assert_int_equal(read_file(*state, "a_total").count, 1);
}

/* Many processes, one series each and one together: every step is counted once. */
static void adds_from_many_processes(void **state)
{
    dv_metrics_close(open_file(*state));
    for (int child = 0; child < CHILDREN; child++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            dv_metrics *metrics = NULL;
            if (dv_metrics_open(*state, 0660, &metrics, NULL) != DV_OK) {
                _exit(1);
            }
            for (int i = 0; i < ROUNDS; i++) {
                char own[32];
                snprintf(own, sizeof(own), "own_total{i=\"%d\"}", i % 500);
                dv_metric_add(dv_metrics_cell(metrics, own), 1);
                dv_metric_add(dv_metrics_cell(metrics, "shared_total"), 1);
            }
            _exit(0);
        }
    }
    for (int child = 0; child < CHILDREN; child++) {
        int status = -1;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    seen shared = read_file(*state, "shared_total");
    assert_int_equal(shared.value, CHILDREN * ROUNDS);
    assert_int_equal(shared.count, 1);
    assert_int_equal(read_file(*state, "own_total{i=\"7\"}").value, CHILDREN * ROUNDS / 500);
}

static void a_full_table_counts_what_it_drops(void **state)
{
    dv_metrics *metrics = open_file(*state);
    char series[DV_METRIC_NAME_MAX + 8];
    for (int i = 0; i < DV_METRICS_SLOTS; i++) {
        snprintf(series, sizeof(series), "s_total{i=\"%d\"}", i);
        dv_metric_add(dv_metrics_cell(metrics, series), 1);
    }
    dv_metric_add(dv_metrics_cell(metrics, "one_too_many"), 1);
    memset(series, 'a', DV_METRIC_NAME_MAX);
    series[DV_METRIC_NAME_MAX] = '\0';
    dv_metric_add(dv_metrics_cell(metrics, series), 1); /* too long a name */
    dv_metric_add(dv_metrics_cell(metrics, ""), 1);
    dv_metrics_close(metrics);
    seen dropped = read_file(*state, "dvara_metrics_dropped_total");
    assert_int_equal(dropped.value, 3);
    assert_int_equal(dropped.all, DV_METRICS_SLOTS + 1);
}

static void names_that_are_no_series_are_left_out(void **state)
{
    static const char *const bad[] = {"Upper", "x{",   "x}y", "x{a=\"1\"} 5\nfake_total",
                                      " x",    "x\x7f"};
    dv_metrics *metrics = open_file(*state);
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        dv_metric_add(dv_metrics_cell(metrics, bad[i]), 1);
    }
    dv_metrics_close(metrics);
    assert_int_equal(read_file(*state, "dvara_metrics_dropped_total").all, 1);
}

static void a_file_that_is_none_is_not_read_but_replaced(void **state)
{
    seen wanted = {.series = "x"};
    dv_error error = {0};
    int fd = open(*state, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "short", 5), 5);
    close(fd);
    assert_int_equal(dv_metrics_read(*state, look, &wanted, &error), DV_ERR_CORRUPT);
    dv_metrics *metrics = open_file(*state);
    dv_metric_add(dv_metrics_cell(metrics, "x"), 1);
    dv_metrics_close(metrics);
    assert_int_equal(read_file(*state, "x").value, 1);
    struct stat stat_now;
    assert_int_equal(stat(*state, &stat_now), 0);
    assert_int_equal(stat_now.st_mode & 0777, 0660);
}

static void missing_files_are_told(void **state)
{
    seen wanted = {.series = "x"};
    dv_error error = {0};
    assert_int_equal(dv_metrics_read("/nonexistent/metrics", look, &wanted, &error), DV_ERR_IO);
    dv_metrics *metrics = NULL;
    assert_int_equal(dv_metrics_open("/nonexistent/metrics", 0660, &metrics, &error), DV_ERR_IO);
    assert_null(metrics);
    dv_metrics_close(open_file(*state));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counts_and_outlives, setup, teardown),
        cmocka_unit_test_setup_teardown(adds_from_many_processes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_table_counts_what_it_drops, setup, teardown),
        cmocka_unit_test_setup_teardown(names_that_are_no_series_are_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_none_is_not_read_but_replaced, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(missing_files_are_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
