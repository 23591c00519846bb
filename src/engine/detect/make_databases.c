/* SPDX-License-Identifier: Apache-2.0 */
/* Part of the build: writes the table dv_detect_made (database.h) as C. make_databases OUTPUT */
#include "engine/detect/database.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MACHINES_MAX = 3 };

/* The kinds of processor that are foreseen; where there are no names for them, the builder's. */
static size_t list_machines(hs_platform_info_t machines[MACHINES_MAX])
{
#if defined(__x86_64__)
    machines[0] = (hs_platform_info_t){.cpu_features = HS_CPU_FEATURES_AVX2};
    machines[1] =
        (hs_platform_info_t){.cpu_features = HS_CPU_FEATURES_AVX2 | HS_CPU_FEATURES_AVX512};
    return 2;
#else
    machines[0] = (hs_platform_info_t){.cpu_features = 0};
    return hs_populate_platform(&machines[0]) == HS_SUCCESS ? 1 : 0;
#endif
}

static void write_bytes(FILE *out, size_t number, const char *bytes, size_t len)
{
    (void)fprintf(out, "static const uint64_t made_%zu[] = {", number);
    for (size_t at = 0; at < len; at += sizeof(uint64_t)) {
        uint64_t word = 0;
        memcpy(&word, bytes + at, DV_MIN(sizeof(word), len - at));
        (void)fprintf(out, "%s0x%" PRIx64 ",", at % 128 == 0 ? "\n" : "", word);
    }
    (void)fprintf(out, "%s\n};\n\n", len == 0 ? "0" : "");
}

/* Writes the bytes, and adds a line to the table. */
static bool write_database(FILE *out, FILE *table, size_t number, dv_detect_family family,
                           const hs_platform_info_t *machine)
{
    dv_error error = {0};
    hs_database_t *database = NULL;
    char *bytes = NULL;
    size_t len = 0;
    if (dv_detect_database_compile(family, machine, &database, &error) != DV_OK) {
        (void)fprintf(stderr, "make_databases: %s\n", error.message);
        return false;
    }
    if (database != NULL && hs_serialize_database(database, &bytes, &len) != HS_SUCCESS) {
        (void)fprintf(stderr, "make_databases: a database can not be written\n");
        hs_free_database(database);
        return false;
    }
    write_bytes(out, number, bytes, len);
    (void)fprintf(table, "    {%d, 0x%llx, made_%zu, %zu},\n", (int)family, machine->cpu_features,
                  number, len);
    free(bytes);
    hs_free_database(database);
    return true;
}

static bool write_all(FILE *out)
{
    hs_platform_info_t machines[MACHINES_MAX];
    size_t machine_count = list_machines(machines);
    dv_auto(free) char *lines = NULL;
    size_t lines_len = 0;
    FILE *table = open_memstream(&lines, &lines_len);
    bool good = table != NULL && machine_count > 0;
    size_t number = 0;
    (void)fprintf(out,
                  "/* SPDX-License-Identifier: Apache-2.0 */\n/* Made by make_databases.c. */\n"
                  "#include \"engine/detect/database.h\"\n\n");
    for (size_t i = 0; good && i < machine_count; i++) {
        for (dv_detect_family family = 0; good && family < DV_FAMILIES; family++) {
            good = write_database(out, table, number++, family, &machines[i]);
        }
    }
    if (table != NULL) {
        good = fclose(table) == 0 && good;
    }
    if (good) {
        (void)fprintf(out,
                      "const dv_detect_database dv_detect_made[] = {\n%s};\n"
                      "const size_t dv_detect_made_count = %zu;\n",
                      lines, number);
    }
    return good;
}

int main(int argc, char **argv)
{
    FILE *out = argc == 2 ? fopen(argv[1], "w") : NULL;
    if (out == NULL) {
        (void)fprintf(stderr, "usage: make_databases OUTPUT\n");
        return 1;
    }
    bool good = write_all(out);
    good = ferror(out) == 0 && good;
    good = fclose(out) == 0 && good;
    return good ? 0 : 1;
}
