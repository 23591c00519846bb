/* SPDX-License-Identifier: Apache-2.0 */
/* Prints one event of every builder and of every shape, for tests/ocsf/validate.py: with plain
 * words, and with what no caller should send and some clock may say. */
#include "event_samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print(void *data, const char *what, dv_slice event)
{
    printf("%.*s\n", DV_SLICE_ARGS(event));
}

static void print_long(dv_slice text)
{
    const sample_words words = {text, 1790000000123456789, 1};
    samples_all(&words, print, NULL);
}

int main(void)
{
    static const sample_words usual[] = {
        {DV_LIT("smollm2"), 1790000000123456789, 34},
        {DV_LIT("bad \xff\xc3(\xed\xa0\x80 \x01\n"), 1790000000123456789, 0},
        {DV_LIT("before 1970"), -1790000000123456789, 1},
        {DV_LIT("the first moment"), 1, 1},
        {DV_LIT("the last moment"), INT64_MAX - 1, INT64_MAX},
    };
    enum { MEGABYTE = 1 << 20 };
    for (size_t i = 0; i < DV_ARRAY_LEN(usual); i++) {
        samples_all(&usual[i], print, NULL);
    }
    char *text = malloc(MEGABYTE);
    if (text == NULL) {
        return 1;
    }
    memset(text, 'x', MEGABYTE);
    print_long(dv_slice_of(text, MEGABYTE));
    memset(text, 0xff, MEGABYTE);
    print_long(dv_slice_of(text, MEGABYTE));
    free(text);
    return 0;
}
