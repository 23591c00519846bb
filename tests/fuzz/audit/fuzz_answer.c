/* SPDX-License-Identifier: Apache-2.0 */
/* What receivers of exported events answer, and the lines of the feed. The first byte says how many
 * events the answer is about: what is not told of each of them changes nothing. */
#include "room/audit/export/bulk.h"
#include "room/audit/export/feed.h"

enum { ITEMS_MAX = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_bulk(dv_slice body, size_t count, dv_arena *arena)
{
    dv_export_item items[ITEMS_MAX] = {0};
    dv_export_item *pointers[ITEMS_MAX];
    dv_export_chunk chunk = {.items = pointers, .count = count, .arena = arena};
    for (size_t i = 0; i < ITEMS_MAX; i++) {
        pointers[i] = &items[i];
    }
    dv_result result = dv_bulk_apply(body, &chunk, NULL);
    for (size_t i = 0; i < ITEMS_MAX; i++) {
        require(items[i].state == DV_EXPORT_PENDING || (result == DV_OK && i < count));
    }
    require(memchr(chunk.why, '\0', sizeof(chunk.why)) != NULL);
}

static void check_lines(dv_slice body)
{
    uint64_t index;
    dv_slice event, lines = body;
    while (dv_export_feed_line(&lines, &index, &event, NULL) == DV_OK) {
        require(event.ptr > body.ptr && event.ptr + event.len < body.ptr + body.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[DV_EXPORT_WHY_MAX] = "";
    dv_auto(arena) dv_arena *arena = dv_arena_new(64 << 20);
    if (size == 0 || arena == NULL) {
        return 0;
    }
    dv_slice body = dv_slice_of(data + 1, size - 1);
    check_bulk(body, data[0] % (ITEMS_MAX + 1), arena);
    check_lines(body);
    (void)dv_otlp_rejected(body, arena, why);
    require(memchr(why, '\0', sizeof(why)) != NULL);
    return 0;
}
