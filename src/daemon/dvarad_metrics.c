/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/dvarad_metrics.h"

#include "room/audit/control/audit_control.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NUMBER_MAX = 32, SERIES_MAX = 4 * DV_METRICS_SLOTS, PATH_TEXT_MAX = 4096 };

struct dv_series {
    char text[DV_METRIC_NAME_MAX];
    double value;
    bool gauge;
};

void dv_series_add(dv_series_list *list, bool gauge, const char *series, double value)
{
    if (list->count == list->capacity && list->capacity < SERIES_MAX) {
        size_t capacity = list->capacity == 0 ? 256 : list->capacity * 2;
        dv_series *grown = realloc(list->entries, capacity * sizeof(*grown));
        if (grown != NULL) {
            list->entries = grown;
            list->capacity = capacity;
        }
    }
    if (list->count == list->capacity) {
        list->failed = true;
        return;
    }
    dv_series *entry = &list->entries[list->count++];
    snprintf(entry->text, sizeof(entry->text), "%s", series);
    entry->value = value;
    entry->gauge = gauge;
}

void dv_series_release(dv_series_list *list)
{
    free(list->entries);
    *list = (dv_series_list){0};
}

/* Where a bucket's bound stands, or NULL. */
static const char *bound_of(const char *series)
{
    const char *label = strstr(series, "le=\"");
    return label != NULL ? label + strlen("le=\"") : NULL;
}

static int compare(const void *left, const void *right)
{
    const dv_series *a = left, *b = right;
    const char *bound_a = bound_of(a->text), *bound_b = bound_of(b->text);
    if (bound_a != NULL && bound_b != NULL && bound_a - a->text == bound_b - b->text &&
        strncmp(a->text, b->text, (size_t)(bound_a - a->text)) == 0) {
        double x = strtod(bound_a, NULL), y = strtod(bound_b, NULL);
        return (x > y) - (x < y);
    }
    return strcmp(a->text, b->text);
}

/* The metric that a series belongs to: its name, for parts of a histogram without the suffix. */
static size_t family_of(const char *series, bool *ret_histogram)
{
    static const char *const suffixes[] = {"_bucket", "_sum", "_count"};
    size_t len = strcspn(series, "{");
    *ret_histogram = false;
    for (size_t i = 0; i < DV_ARRAY_LEN(suffixes); i++) {
        size_t suffix = strlen(suffixes[i]);
        if (len > suffix && strncmp(series + len - suffix, suffixes[i], suffix) == 0) {
            *ret_histogram = true;
            return len - suffix;
        }
    }
    return len;
}

/* As few digits as give the same value again. */
static const char *format(double value, char out[NUMBER_MAX])
{
    snprintf(out, NUMBER_MAX, "%.15g", value);
    if (strtod(out, NULL) != value) {
        snprintf(out, NUMBER_MAX, "%.17g", value);
    }
    return out;
}

dv_result dv_series_write(dv_series_list *list, dv_buf *out)
{
    char number[NUMBER_MAX];
    if (list->failed) {
        return DV_ERR_NO_MEMORY;
    }
    if (list->count > 0) {
        qsort(list->entries, list->count, sizeof(*list->entries), compare);
    }
    dv_slice before = {0};
    for (size_t i = 0; i < list->count; i++) {
        dv_series *entry = &list->entries[i];
        if (i + 1 < list->count && strcmp(entry->text, entry[1].text) == 0) {
            entry[1].value += entry->value;
            continue;
        }
        bool histogram;
        dv_slice family = dv_slice_of(entry->text, family_of(entry->text, &histogram));
        if (!dv_slice_eq(family, before)) {
            DV_TRY(dv_buf_append_printf(out, "# TYPE %.*s %s\n", DV_SLICE_ARGS(family),
                                        histogram      ? "histogram"
                                        : entry->gauge ? "gauge"
                                                       : "counter"));
            before = family;
        }
        DV_TRY(dv_buf_append_printf(out, "%s %s\n", entry->text, format(entry->value, number)));
    }
    return DV_OK;
}

static void add_counter(void *data, const char *series, uint64_t value)
{
    dv_series_add(data, false, series, (double)value);
}

/* The counters of one file; a file that is not there yet has none. */
static void add_file(dv_series_list *list, const char *folder, const char *name)
{
    char path[PATH_TEXT_MAX];
    dv_error error = {0};
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    dv_result result = dv_metrics_read(path, add_counter, list, &error);
    dv_series_add(list, true,
                  strcmp(name, "metrics") == 0 ? "dvara_gateway_metrics_readable"
                                               : "dvara_control_metrics_readable",
                  result == DV_OK);
}

typedef struct spool_size {
    double bytes, segments;
} spool_size;

/* The files of a folder that is there, and of those in it, which are the writers'. */
static bool count_files(int folder, const char *name, bool deeper, spool_size *size)
{
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        dv_fd_close(&fd);
        return false;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        struct stat stat;
        if (entry->d_name[0] == '.' ||
            fstatat(dirfd(dir), entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        if (S_ISREG(stat.st_mode)) {
            size->bytes += (double)stat.st_size;
            size->segments++;
        } else if (deeper && S_ISDIR(stat.st_mode)) {
            (void)count_files(dirfd(dir), entry->d_name, false, size);
        }
    }
    closedir(dir);
    return true;
}

static void add_spool(dv_series_list *list, const char *folder)
{
    spool_size size = {0};
    if (folder != NULL && count_files(AT_FDCWD, folder, true, &size)) {
        dv_series_add(list, true, "dvara_spool_bytes", size.bytes);
        dv_series_add(list, true, "dvara_spool_segments", size.segments);
    }
}

static void add_log(dv_series_list *list, const char *runtime_dir)
{
    dv_audit_log log;
    bool answers = dv_audit_log_status(runtime_dir, &log, NULL) == DV_OK;
    dv_series_add(list, true, "dvara_log_up", answers && !log.blocked);
    if (answers) {
        dv_series_add(list, true, "dvara_log_entries", (double)log.entries);
        dv_series_add(list, true, "dvara_log_open_segments", (double)log.segments);
        dv_series_add(list, true, "dvara_log_waiting_segments", (double)log.waiting);
        dv_series_add(list, false, "dvara_log_refused_total", (double)log.refused);
    }
}

static void add_export_series(dv_series_list *list, const dv_audit_export *one, bool gauge,
                              const char *name, uint64_t value)
{
    char series[DV_METRIC_NAME_MAX];
    snprintf(series, sizeof(series), "dvara_export_%.16s{destination=\"%.40s\",log=\"%.24s\"}",
             name, one->name, one->log);
    dv_series_add(list, gauge, series, (double)value);
}

static void add_export(void *data, const dv_audit_export *one)
{
    add_export_series(data, one, true, "up", one->failing ? 0 : 1);
    add_export_series(data, one, true, "behind_events", one->behind);
    add_export_series(data, one, true, "behind_seconds", one->behind_seconds);
    add_export_series(data, one, false, "sent_total", one->sent);
    add_export_series(data, one, false, "refused_total", one->refused);
    add_export_series(data, one, false, "lost_total", one->lost);
}

static void add_snapshot(dv_series_list *list, dv_services *services)
{
    uint64_t sequence;
    if (dv_snapshot_begin(services->snapshot) == DV_OK) {
        dv_series_add(list, true, "dvara_snapshot_generation",
                      (double)dv_snapshot_generation(services->snapshot));
        dv_snapshot_end(services->snapshot);
    }
    if (dv_snapshot_change_sequence(services->snapshot, &sequence) == DV_OK) {
        dv_series_add(list, true, "dvara_snapshot_change_sequence", (double)sequence);
    }
}

static void add_process(dv_series_list *list, const dv_control *control)
{
    struct rusage usage;
    char line[128];
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm != NULL && fgets(line, sizeof(line), statm) != NULL) {
        const char *resident = line + strcspn(line, " "); /* the second number, in pages */
        dv_series_add(list, true, "process_resident_memory_bytes",
                      (double)strtol(resident, NULL, 10) * (double)sysconf(_SC_PAGESIZE));
    }
    if (statm != NULL) {
        fclose(statm);
    }
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        dv_series_add(list, false, "process_cpu_seconds_total",
                      (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                          (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    }
    dv_series_add(list, true, "process_start_time_seconds",
                  (double)control->services.started / (double)DV_SECOND);
}

dv_result dv_metrics_render(dv_control *control, dv_buf *out, dv_error *error)
{
    dv_auto(series_list) dv_series_list list = {0};
    const dv_services *services = &control->services;
    dv_series_add(&list, true, "dvara_build_info{version=\"" DV_VERSION "\"}", 1);
    add_file(&list, services->runtime_dir, "metrics");
    add_file(&list, services->runtime_dir, "metrics-dvarad");
    add_spool(&list, control->spool_dir);
    add_log(&list, services->runtime_dir);
    dv_audit_exports_each(services->runtime_dir, add_export, &list);
    add_snapshot(&list, &control->services);
    add_process(&list, control);
    dv_result result = dv_series_write(&list, out);
    return result == DV_OK ? DV_OK : dv_error_set(error, result, "the metrics can not be shown");
}
