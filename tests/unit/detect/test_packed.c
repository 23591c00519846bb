/* SPDX-License-Identifier: Apache-2.0 */
/* What is packed in what: every bound, and that nothing passes for read that was not. */
#include "engine/detect/packed.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

enum { ARENA = 256 << 20, ROOM = 16 << 20 };

static const char said[] = "write to bob@example.com";

/* All that was handed out, with a bar behind each piece. */
static dv_buf seen;

static dv_result note(void *data, dv_slice piece, bool contents)
{
    (void)data;
    (void)contents;
    DV_TRY(dv_buf_append(&seen, piece));
    return dv_buf_append_str(&seen, "|");
}

static dv_result open_it(dv_slice bytes)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    assert_non_null(arena);
    dv_buf_clear(&seen);
    return dv_packed_open(bytes, DV_PACKED_MAX, arena, note, NULL);
}

static bool saw(const char *text)
{
    return dv_slice_find(dv_buf_slice(&seen), dv_slice_str(text)) >= 0;
}

/* bits: 31 gzip, -15 bare. */
static void deflate_to(dv_buf *out, dv_slice bytes, int bits)
{
    z_stream z = {.zalloc = NULL};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t room = deflateBound(&z, bytes.len);
    assert_int_equal(dv_buf_reserve(out, room), DV_OK);
    z.next_in = (Bytef *)(uintptr_t)bytes.ptr;
    z.avail_in = (uInt)bytes.len;
    z.next_out = out->ptr + out->len;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out->len += room - z.avail_out;
    assert_int_equal(deflateEnd(&z), Z_OK);
}

static void gzip_to(dv_buf *out, dv_slice bytes)
{
    deflate_to(out, bytes, 31);
}

static void put(dv_buf *out, uint64_t value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(dv_buf_append_byte(out, (uint8_t)(value >> 8 * i)), DV_OK);
    }
}

/* A file of a zip; what its head says is what it is told. */
typedef struct member {
    const char *name;
    dv_slice data;
    unsigned flags;
    unsigned method;
    uint32_t size; /* 0: as it is */
} member;

static void member_to(dv_buf *out, const member *m)
{
    dv_auto(buf) dv_buf packed = dv_buf_init(ROOM);
    if (m->method == 8) {
        deflate_to(&packed, m->data, -15);
    } else {
        assert_int_equal(dv_buf_append(&packed, m->data), DV_OK);
    }
    bool behind = (m->flags & 8) != 0;
    assert_int_equal(dv_buf_append_str(out, "PK\x03\x04"), DV_OK);
    put(out, 20, 2);
    put(out, m->flags, 2);
    put(out, m->method, 2);
    put(out, 0, 4);
    put(out, 0, 4);
    put(out, m->size != 0 ? m->size : behind ? 0 : (uint32_t)packed.len, 4);
    put(out, (uint32_t)m->data.len, 4);
    put(out, (uint32_t)strlen(m->name), 2);
    put(out, 0, 2);
    assert_int_equal(dv_buf_append_str(out, m->name), DV_OK);
    assert_int_equal(dv_buf_append(out, dv_buf_slice(&packed)), DV_OK);
    if (behind) {
        put(out, 0x08074b50, 4);
        put(out, 0, 4);
        put(out, (uint32_t)packed.len, 4);
        put(out, (uint32_t)m->data.len, 4);
    }
}

static uint32_t number(const uint8_t *bytes, size_t len)
{
    uint32_t value = 0;
    for (size_t i = len; i > 0; i--) {
        value = value << 8 | bytes[i - 1];
    }
    return value;
}

/* The list of all heads that stand there, with a name's comment each. */
static void list_to(dv_buf *out)
{
    size_t list = out->len, at = 0, count = 0;
    for (;; at++) {
        dv_slice rest = dv_slice_sub(dv_buf_slice(out), at, list - at);
        ptrdiff_t found = dv_slice_find(rest, DV_LIT("PK\x03\x04"));
        if (found < 0) {
            break;
        }
        at += (size_t)found;
        uint8_t head[30], name[64];
        memcpy(head, out->ptr + at, sizeof(head));
        size_t len = number(head + 26, 2);
        assert_true(len <= sizeof(name));
        memcpy(name, out->ptr + at + 30, len);
        put(out, 0x02014b50, 4);
        put(out, 20, 2);
        assert_int_equal(dv_buf_append(out, dv_slice_of(head + 4, 24)), DV_OK);
        put(out, 0, 2);
        put(out, 7, 2); /* of the comment */
        put(out, 0, 8);
        put(out, (uint32_t)at, 4);
        assert_int_equal(dv_buf_append(out, dv_slice_of(name, len)), DV_OK);
        assert_int_equal(dv_buf_append_str(out, " a list"), DV_OK);
        count++;
    }
    size_t len = out->len - list;
    put(out, 0x06054b50, 4);
    put(out, 0, 4);
    put(out, (uint32_t)count, 2);
    put(out, (uint32_t)count, 2);
    put(out, (uint32_t)len, 4);
    put(out, (uint32_t)list, 4);
    put(out, 12, 2);
    assert_int_equal(dv_buf_append_str(out, " and its end"), DV_OK);
}

static void zip_to(dv_buf *out, const member *m)
{
    member_to(out, m);
    list_to(out);
}

/* ---- what is read ---- */

static void gzip_is_unpacked(void **state)
{
    dv_auto(buf) dv_buf bytes = dv_buf_init(ROOM);
    gzip_to(&bytes, dv_slice_str(said));
    assert_int_equal(open_it(dv_buf_slice(&bytes)), DV_OK);
    assert_true(saw("write to bob@example.com|"));
    gzip_to(&bytes, DV_LIT(" and eve")); /* members are one text */
    assert_int_equal(dv_buf_append_str(&bytes, "a tail"), DV_OK);
    assert_int_equal(open_it(dv_buf_slice(&bytes)), DV_OK);
    assert_true(saw("bob@example.com and eve|a tail|"));
}

static void zip_is_unpacked(void **state)
{
    static const member members[] = {
        {"a.txt", DV_LIT("one bob@example.com"), 0, 8, 0},
        {"b of eve.txt", DV_LIT("two"), 0, 0, 0},
        {"c", DV_LIT("three"), 8, 8, 0},
    };
    dv_auto(buf) dv_buf bytes = dv_buf_init(ROOM);
    for (size_t i = 0; i < DV_ARRAY_LEN(members); i++) {
        member_to(&bytes, &members[i]);
    }
    list_to(&bytes);
    assert_int_equal(open_it(dv_buf_slice(&bytes)), DV_OK);
    assert_true(saw("a.txt|one bob@example.com|b of eve.txt|two|c|three|PK"));
}

static void other_bytes_are_left_alone(void **state)
{
    static const char *const others[] = {
        "",       "P", "PK\x05\x06", "text", "\x1f\x8b", "\x1f\x8b\x08", "\x1f\x8b\x08\xff rest",
        "BZh91AY"};
    for (size_t i = 0; i < DV_ARRAY_LEN(others); i++) {
        assert_int_equal(open_it(dv_slice_str(others[i])), DV_OK);
        assert_int_equal(seen.len, 0);
    }
}

/* ---- bounds ---- */

static void one_in_another_has_a_depth(void **state)
{
    dv_auto(buf) dv_buf inner = dv_buf_init(ROOM);
    assert_int_equal(dv_buf_append_str(&inner, said), DV_OK);
    for (int depth = 1; depth <= DV_PACKED_DEPTH + 1; depth++) {
        dv_auto(buf) dv_buf outer = dv_buf_init(ROOM);
        if (depth % 2 == 0) {
            gzip_to(&outer, dv_buf_slice(&inner));
        } else {
            zip_to(&outer, &(member){"in", dv_buf_slice(&inner), 0, 0, 0});
        }
        dv_buf_clear(&inner);
        assert_int_equal(dv_buf_append(&inner, dv_buf_slice(&outer)), DV_OK);
        assert_int_equal(open_it(dv_buf_slice(&inner)),
                         depth <= DV_PACKED_DEPTH ? DV_OK : DV_ERR_TOO_LARGE);
        assert_true(depth > DV_PACKED_DEPTH || saw("bob@example.com"));
    }
}

/* Bytes that hardly pack, of a length. */
static dv_slice noise(size_t len, uint8_t *room)
{
    uint64_t seed = 7;
    for (size_t i = 0; i < len; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        room[i] = (uint8_t)(seed >> 56);
    }
    return dv_slice_of(room, len);
}

static void so_much_is_unpacked(void **state)
{
    uint8_t *room = calloc(1, DV_PACKED_MAX + 1);
    assert_non_null(room);
    for (size_t more = 0; more < 2; more++) {
        dv_auto(buf) dv_buf bytes = dv_buf_init(ROOM);
        gzip_to(&bytes, noise(DV_PACKED_MAX + more, room));
        assert_int_equal(open_it(dv_buf_slice(&bytes)), more == 0 ? DV_OK : DV_ERR_TOO_LARGE);
    }
    free(room);
}

/* All levels share what may be unpacked. */
static void levels_share_the_bound(void **state)
{
    uint8_t *room = calloc(1, DV_PACKED_MAX);
    dv_auto(buf) dv_buf bytes = dv_buf_init(ROOM);
    assert_non_null(room);
    const dv_slice half = noise(DV_PACKED_MAX / 2, room);
    const member m = {"a", half, 0, 8, 0};
    member_to(&bytes, &m);
    member_to(&bytes, &m);
    size_t two = bytes.len;
    list_to(&bytes);
    assert_int_equal(open_it(dv_buf_slice(&bytes)), DV_OK);
    bytes.len = two;
    member_to(&bytes, &(member){"b", DV_LIT("x"), 0, 8, 0});
    list_to(&bytes);
    assert_int_equal(open_it(dv_buf_slice(&bytes)), DV_ERR_TOO_LARGE);
    free(room);
}

static void a_bomb_is_refused(void **state)
{
    uint8_t *zeros = calloc(1, DV_PACKED_MAX);
    assert_non_null(zeros);
    for (size_t len = 1 << 10; len <= DV_PACKED_MAX; len *= 2) {
        dv_auto(buf) dv_buf bytes = dv_buf_init(ROOM);
        gzip_to(&bytes, dv_slice_of(zeros, len));
        bool fits = len <= bytes.len * DV_PACKED_RATIO + DV_PACKED_FREE;
        assert_int_equal(open_it(dv_buf_slice(&bytes)), fits ? DV_OK : DV_ERR_TOO_LARGE);
        assert_true(len > 64 << 10 || fits);
        assert_true(len < 1 << 20 || !fits);
    }
    free(zeros);
}

static void so_many_files_are_read(void **state)
{
    for (int more = 0; more < 2; more++) {
        dv_auto(buf) dv_buf bytes = dv_buf_init(ROOM);
        for (int i = 0; i < DV_PACKED_MEMBERS + more; i++) {
            member_to(&bytes, &(member){"a", DV_LIT("x"), 0, 0, 0});
        }
        list_to(&bytes);
        assert_int_equal(open_it(dv_buf_slice(&bytes)), more == 0 ? DV_OK : DV_ERR_TOO_LARGE);
    }
}

/* ---- what can't be read ---- */

static void what_is_cut_is_refused(void **state)
{
    dv_auto(buf) dv_buf gzip = dv_buf_init(ROOM);
    dv_auto(buf) dv_buf zip = dv_buf_init(ROOM);
    gzip_to(&gzip, dv_slice_str(said));
    for (size_t len = 4; len < gzip.len; len++) {
        assert_int_equal(open_it(dv_slice_of(gzip.ptr, len)), DV_ERR_TOO_LARGE);
    }
    zip_to(&zip, &(member){"a", dv_slice_str(said), 0, 8, 0});
    size_t list = (size_t)dv_slice_find(dv_buf_slice(&zip), DV_LIT("PK\x01\x02"));
    for (size_t len = 4; len < list + 4; len++) {
        assert_int_equal(open_it(dv_slice_of(zip.ptr, len)), DV_ERR_TOO_LARGE);
    }
}

static void what_is_damaged_is_refused(void **state)
{
    dv_auto(buf) dv_buf bytes = dv_buf_init(ROOM);
    gzip_to(&bytes, dv_slice_str(said));
    bytes.ptr[bytes.len - 6] ^= 1; /* its check sum */
    assert_int_equal(open_it(dv_buf_slice(&bytes)), DV_ERR_TOO_LARGE);
}

static void what_hides_in_a_zip_is_refused(void **state)
{
    static const member hidden[] = {
        {"a", DV_LIT("secret"), 1, 0, 0},          /* encrypted */
        {"a", DV_LIT("secret"), 0, 14, 0},         /* by another method */
        {"a", DV_LIT("secret"), 8, 0, 0},          /* of a size that is told behind it */
        {"a", DV_LIT("secret"), 0, 0, UINT32_MAX}, /* of a size that is told elsewhere */
        {"a", DV_LIT("secret"), 0, 0, 600},        /* longer than there is */
        {"a", DV_LIT("secret"), 0, 0, 3},          /* shorter: something stands between files */
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(hidden); i++) {
        dv_auto(buf) dv_buf bytes = dv_buf_init(ROOM);
        zip_to(&bytes, &hidden[i]);
        assert_int_equal(open_it(dv_buf_slice(&bytes)), DV_ERR_TOO_LARGE);
    }
    dv_auto(buf) dv_buf behind = dv_buf_init(ROOM); /* a file behind the list */
    zip_to(&behind, &(member){"a", DV_LIT("one"), 0, 0, 0});
    member_to(&behind, &(member){"b", DV_LIT("two"), 0, 0, 0});
    assert_int_equal(open_it(dv_buf_slice(&behind)), DV_ERR_TOO_LARGE);
}

/* What one program reads by the heads another must read by the list. */
static void the_list_has_to_be_right(void **state)
{
    static const size_t wrong[] = {10, 20, 28, 42, 46}; /* method, size, name's size, place, name */
    dv_auto(buf) dv_buf zip = dv_buf_init(ROOM);
    zip_to(&zip, &(member){"a", dv_slice_str(said), 0, 0, 0});
    size_t list = (size_t)dv_slice_find(dv_buf_slice(&zip), DV_LIT("PK\x01\x02"));
    size_t end = (size_t)dv_slice_find(dv_buf_slice(&zip), DV_LIT("PK\x05\x06"));
    assert_int_equal(open_it(dv_buf_slice(&zip)), DV_OK);
    for (size_t i = 0; i < DV_ARRAY_LEN(wrong) + 2; i++) {
        size_t at =
            i < DV_ARRAY_LEN(wrong) ? list + wrong[i] : end + 12 + 4 * (i - DV_ARRAY_LEN(wrong));
        zip.ptr[at] ^= 8;
        assert_int_equal(open_it(dv_buf_slice(&zip)), DV_ERR_TOO_LARGE);
        zip.ptr[at] ^= 8;
    }
    assert_int_equal(dv_buf_append_str(&zip, "PK\x05\x06"), DV_OK); /* a second one */
    assert_int_equal(open_it(dv_buf_slice(&zip)), DV_ERR_TOO_LARGE);
}

/* Where only a list would point. */
static void no_file_hides_in_another(void **state)
{
    static const char inner[] = "xPK\x03\x04 a file";
    for (unsigned method = 0; method <= 8; method += 8) {
        dv_auto(buf) dv_buf zip = dv_buf_init(ROOM);
        zip_to(&zip, &(member){"a", dv_slice_str(inner), 0, method, 0});
        assert_int_equal(open_it(dv_buf_slice(&zip)), DV_ERR_TOO_LARGE);
    }
    dv_auto(buf) dv_buf zip = dv_buf_init(ROOM);
    dv_auto(buf) dv_buf beside = dv_buf_init(ROOM);
    zip_to(&zip, &(member){"a", dv_slice_str(said), 0, 0, 0});
    assert_int_equal(dv_buf_append(&beside, dv_slice_sub(dv_buf_slice(&zip), 0, 31)), DV_OK);
    beside.ptr[28] = sizeof(inner) - 1; /* of its extra fields */
    assert_int_equal(dv_buf_append_str(&beside, inner), DV_OK);
    assert_int_equal(dv_buf_append(&beside, dv_slice_sub(dv_buf_slice(&zip), 31, zip.len)), DV_OK);
    size_t end = (size_t)dv_slice_find(dv_buf_slice(&beside), DV_LIT("PK\x05\x06"));
    beside.ptr[end + 16] = (uint8_t)(beside.ptr[end + 16] + sizeof(inner) - 1);
    assert_int_equal(open_it(dv_buf_slice(&beside)), DV_ERR_TOO_LARGE);
    beside.ptr[32] = 'k';
    assert_int_equal(open_it(dv_buf_slice(&beside)), DV_OK); /* the fields are told */
    assert_true(saw("xkK\x03\x04 a file|a|write to bob@example.com|"));
}

static void heads_of_gzip_are_told(void **state)
{
    dv_auto(buf) dv_buf plain = dv_buf_init(ROOM);
    dv_auto(buf) dv_buf bytes = dv_buf_init(ROOM);
    gzip_to(&plain, dv_slice_str(said));
    plain.ptr[3] = 4 | 8 | 16; /* fields, a name, a comment */
    assert_int_equal(dv_buf_append(&bytes, dv_slice_sub(dv_buf_slice(&plain), 0, 10)), DV_OK);
    assert_int_equal(dv_buf_append(&bytes, DV_LIT("\x06\0ab\2\0cdname\0comment\0")), DV_OK);
    assert_int_equal(dv_buf_append(&bytes, dv_slice_sub(dv_buf_slice(&plain), 10, plain.len)),
                     DV_OK);
    assert_int_equal(open_it(dv_buf_slice(&bytes)), DV_OK);
    assert_int_equal(
        dv_slice_find(dv_buf_slice(&seen), DV_LIT("ab\2\0cdname\0comment\0|write to bob")), 2);
    for (size_t len = 4; len < bytes.len; len++) {
        assert_int_equal(open_it(dv_slice_of(bytes.ptr, len)), DV_ERR_TOO_LARGE);
    }
}

/* Bytes behind what deflate read, but within the file's size. */
static void the_rest_of_a_file_is_handed_out(void **state)
{
    dv_auto(buf) dv_buf packed = dv_buf_init(ROOM);
    dv_auto(buf) dv_buf bytes = dv_buf_init(ROOM);
    deflate_to(&packed, DV_LIT("one"), -15);
    assert_int_equal(dv_buf_append_str(&packed, said), DV_OK);
    member_to(&bytes, &(member){"a", dv_buf_slice(&packed), 0, 0, 0});
    bytes.ptr[8] = 8; /* its method */
    list_to(&bytes);
    assert_int_equal(open_it(dv_buf_slice(&bytes)), DV_OK);
    assert_true(saw("|one|write to bob@example.com|"));
}

static int set_up(void **state)
{
    seen = dv_buf_init(ROOM);
    return 0;
}

static int tear_down(void **state)
{
    dv_buf_release(&seen);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gzip_is_unpacked),
        cmocka_unit_test(zip_is_unpacked),
        cmocka_unit_test(other_bytes_are_left_alone),
        cmocka_unit_test(one_in_another_has_a_depth),
        cmocka_unit_test(so_much_is_unpacked),
        cmocka_unit_test(levels_share_the_bound),
        cmocka_unit_test(a_bomb_is_refused),
        cmocka_unit_test(so_many_files_are_read),
        cmocka_unit_test(what_is_cut_is_refused),
        cmocka_unit_test(what_is_damaged_is_refused),
        cmocka_unit_test(what_hides_in_a_zip_is_refused),
        cmocka_unit_test(the_list_has_to_be_right),
        cmocka_unit_test(no_file_hides_in_another),
        cmocka_unit_test(heads_of_gzip_are_told),
        cmocka_unit_test(the_rest_of_a_file_is_handed_out),
    };
    return cmocka_run_group_tests_name("detect-packed", tests, set_up, tear_down);
}
