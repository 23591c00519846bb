/* SPDX-License-Identifier: Apache-2.0 */
#include "base/build_id.h"

#include "base/macros.h"

#include <link.h>
#include <stdio.h>
#include <string.h>

static size_t padded(size_t len)
{
    return (len + 3) & ~(size_t)3;
}

static void read_notes(const uint8_t *at, size_t len, char *out)
{
    ElfW(Nhdr) note;
    while (len >= sizeof note) {
        memcpy(&note, at, sizeof note);
        size_t name = sizeof note, value = name + padded(note.n_namesz);
        size_t all = value + padded(note.n_descsz);
        if (note.n_namesz > len || note.n_descsz > len || all > len) {
            return;
        }
        bool is_id = note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof "GNU" &&
                     memcmp(at + name, "GNU", sizeof "GNU") == 0;
        for (size_t i = 0; is_id && i < note.n_descsz && 2 * i + 2 < DV_BUILD_ID_TEXT; i++) {
            snprintf(out + 2 * i, 3, "%02x", at[value + i]);
        }
        at += all;
        len -= all;
    }
}

/* Whether this code lies in the object. */
static bool is_ours(const struct dl_phdr_info *info)
{
    uintptr_t here = (uintptr_t)&dv_build_id;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + part->p_vaddr;
        if (part->p_type == PT_LOAD && here >= begin && here - begin < part->p_memsz) {
            return true;
        }
    }
    return false;
}

static int read_ours(struct dl_phdr_info *info, size_t size, void *out)
{
    (void)size;
    if (!is_ours(info)) {
        return 0;
    }
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_NOTE) {
            /* NOLINTNEXTLINE(performance-no-int-to-ptr): the loader tells addresses as numbers */
            read_notes((const uint8_t *)(info->dlpi_addr + part->p_vaddr), part->p_memsz, out);
        }
    }
    return 1;
}

void dv_build_id(char out[DV_BUILD_ID_TEXT])
{
    out[0] = '\0';
    dl_iterate_phdr(read_ours, out);
}
