/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Keys of subjects in a folder that goes with the process. */

#include "engine/log/subjects.h"

#include <ftw.h>
#include <sys/stat.h>

static char subjects_folder[64];
static dv_subjects *subjects;

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *ftw)
{
    return remove(path);
}

static void remove_subjects(void)
{
    dv_subjects_close(subjects);
    (void)nftw(subjects_folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static dv_subjects *subjects_of_this_run(void)
{
    if (subjects == NULL) {
        snprintf(subjects_folder, sizeof(subjects_folder), "/tmp/dvara-fuzz-subjects-XXXXXX");
        if (mkdtemp(subjects_folder) == NULL ||
            dv_subjects_open(subjects_folder, &subjects, NULL) != DV_OK) {
            abort();
        }
        (void)atexit(remove_subjects);
    }
    return subjects;
}
