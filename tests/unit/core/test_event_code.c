/* SPDX-License-Identifier: Apache-2.0 */
/* The compact form of a request's records: what it expands to is byte for byte what the JSON
 * builders write, and nothing else decodes. */
#include "base/caps.h"
#include "base/codec.h"
#include "base/json.h"
#include "core/event_code.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { ROUNDS = 5000, TEXT_ROOM = 1400, SIGHTINGS = 140, GROUPS = 40, TEXTS = 240, VOLUMES = 20 };

static uint64_t seed;

static uint64_t next(void)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return seed >> 33;
}

static bool chance(uint64_t one_in)
{
    return next() % one_in == 0;
}

/* Everything that a random request borrows. */
static struct {
    char texts[TEXTS][TEXT_ROOM];
    size_t used;
    dv_principal principal;
    dv_credential credential;
    dv_arena *arena;
    dv_verdict verdict;
    dv_verdict answer;
    dv_event_limit limit;
    dv_slice groups[GROUPS];
    dv_sighting sightings[2][SIGHTINGS];
    dv_event_volume volumes[2][VOLUMES];
    char places[2][SIGHTINGS][300];
    dv_event_request request;
    dv_event_outcome outcome;
} f;

static const char *const pieces[] = {"a",    "model", "/v1/", "\"", "\\",   "\n", "\x01",
                                     "\xff", "\xc3",  "ä",    "€",  "\xe2", "𝄞",  "?x=1"};

/* Often short, sometimes about as long as one of the limits, with broken characters at the cut. */
static size_t random_bytes(char *out, size_t room)
{
    static const size_t limits[] = {0, 1, 7, 20, 127, 128, 129, 130, 255, 256, 257, 1024, 1025};
    size_t wanted = chance(4) ? limits[next() % DV_ARRAY_LEN(limits)] : next() % 24;
    size_t len = 0;
    wanted = DV_MIN(wanted, room - 1);
    while (len < wanted) {
        const char *piece = chance(3) ? pieces[next() % DV_ARRAY_LEN(pieces)] : "x";
        size_t some = DV_MIN(strlen(piece), wanted - len);
        memcpy(out + len, piece, some);
        len += some;
    }
    out[len] = '\0';
    return len;
}

static dv_slice random_text(void)
{
    char *room = f.texts[f.used++ % TEXTS];
    return dv_slice_of(room, random_bytes(room, TEXT_ROOM));
}

static uint64_t random_number(void)
{
    return chance(8) ? UINT64_MAX - next() % 3 : chance(2) ? next() % 300 : next() << (next() % 30);
}

static void random_sightings(int side, const dv_sighting **ret_sightings, size_t *ret_count)
{
    static const char *const detectors[] = {"email", "payment_card", "phone"};
    size_t count = chance(3) ? next() % SIGHTINGS : chance(2) ? 0 : next() % 4;
    uint64_t actions = chance(2) ? 2 : DV_CONTENT_ACTIONS; /* without and with those that rewrite */
    for (size_t i = 0; i < count; i++) {
        random_bytes(f.places[side][i], sizeof(f.places[side][i]));
        f.sightings[side][i] = (dv_sighting){
            .detector = detectors[next() % DV_ARRAY_LEN(detectors)],
            .place = f.places[side][i],
            .action = (dv_content_action)(next() % actions),
            .score = (uint8_t)next(),
            .times = (uint32_t)(chance(2) ? next() % 3 : UINT32_MAX),
        };
    }
    if (count > DV_EVENT_SIGHTINGS_MAX && chance(2)) { /* only one beyond the list was rewritten */
        for (size_t i = 0; i < count; i++) {
            f.sightings[side][i].action = i + 1 == count ? DV_ACTION_MASK : DV_ACTION_ALERT;
        }
    }
    *ret_sightings = f.sightings[side];
    *ret_count = count;
}

static void random_volumes(int side, const dv_event_volume **ret_volumes, size_t *ret_count)
{
    static const char *const actions[] = {"block", "alert", "monitor"};
    size_t count = chance(4) ? next() % VOLUMES : 0;
    for (size_t i = 0; i < count; i++) {
        f.volumes[side][i] = (dv_event_volume){
            .rule = random_text(),
            .action = actions[next() % DV_ARRAY_LEN(actions)],
            .values = random_number(),
            .limit = random_number(),
            .per = (dv_time)(random_number() >> 1),
            .uncounted = chance(2),
        };
    }
    *ret_volumes = f.volumes[side];
    *ret_count = count;
}

static void random_verdict(dv_verdict *verdict)
{
    *verdict = (dv_verdict){.decision = chance(3) ? DV_DENY : DV_ALLOW,
                            .reason = (dv_reason)(next() % (DV_REASON_COUNT + 1))};
    char ids[12][DV_VERDICT_POLICY_MAX];
    dv_slice policies[12];
    size_t count = chance(3) ? next() % DV_ARRAY_LEN(ids) : chance(2);
    for (size_t i = 0; i < count; i++) {
        policies[i] = dv_slice_of(ids[i], random_bytes(ids[i], sizeof(ids[i])));
    }
    dv_verdict_policies(verdict, policies, count, f.arena);
    random_bytes(verdict->detail, sizeof(verdict->detail));
}

static void random_principal(void)
{
    f.principal = (dv_principal){.type = chance(2) ? DV_PRINCIPAL_USER : DV_PRINCIPAL_SERVICE,
                                 .name = random_text(),
                                 .entity = random_text(),
                                 .groups = f.groups,
                                 .group_count = next() % GROUPS};
    for (size_t i = 0; i < f.principal.group_count; i++) {
        f.groups[i] = random_text();
    }
    f.credential = (dv_credential){.kind = random_text(), .id = random_text()};
}

static void random_limit(void)
{
    f.limit = (dv_event_limit){.key = random_text(),
                               .unit = chance(4) ? NULL : (const char *)random_text().ptr,
                               .limit = random_number(),
                               .remaining = random_number(),
                               .now = (dv_time)random_number(),
                               .tat = (dv_time)random_number(),
                               .called_at = (dv_time)random_number(),
                               .admitted = chance(2),
                               .reserved_at = chance(2) ? 0 : (dv_time)random_number(),
                               .reserved_tokens = random_number(),
                               .reserved_cost = random_number(),
                               .settled = chance(2),
                               .settled_tokens = random_number(),
                               .settled_cost = random_number()};
}

static void random_request(void)
{
    random_principal();
    random_limit();
    dv_arena_reset(f.arena);
    random_verdict(&f.verdict);
    f.request = (dv_event_request){
        .request_id = random_text(),
        .time = (dv_time)random_number(),
        .principal = chance(3) ? NULL : &f.principal,
        .credential = chance(3) ? NULL : &f.credential,
        .address = random_text(),
        .port = (uint16_t)next(),
        .route = random_text(),
        .method = chance(2) ? DV_LIT("POST") : random_text(),
        .path = random_text(),
        .http_version = random_text(),
        .user_agent = random_text(),
        .action = random_text(),
        .model = random_text(),
        .upstream = random_text(),
        .verdict = chance(8) ? NULL : &f.verdict,
        .limit = chance(3) ? NULL : &f.limit,
        .body_bytes = random_number(),
    };
    random_sightings(0, &f.request.sightings, &f.request.sighting_count);
    random_volumes(0, &f.request.volumes, &f.request.volume_count);
}

static void random_outcome(void)
{
    random_verdict(&f.answer);
    f.outcome = (dv_event_outcome){
        .time = (dv_time)random_number(),
        .status = (int)random_number(),
        .upstream_status = (int)(next() % 600),
        .latency = (dv_time)random_number(),
        .upstream_latency = chance(3) ? -1 : (dv_time)random_number(),
        .input_tokens = chance(3) ? -1 : (int64_t)random_number(),
        .output_tokens = chance(3) ? INT64_MIN : (int64_t)random_number(),
        .answer_bytes = random_number(),
        .aborted = chance(2),
        .verdict = chance(3) ? NULL : &f.answer,
    };
    random_sightings(1, &f.outcome.sightings, &f.outcome.sighting_count);
    random_volumes(1, &f.outcome.volumes, &f.outcome.volume_count);
}

/* What the code expands to must be the wanted text, and encode to the same code again. */
static void check_code(const dv_buf *code, const dv_buf *wanted, dv_buf *room)
{
    static dv_event_decoded decoded;
    dv_auto(buf) dv_buf again = dv_buf_init(DV_LIMIT_RECORD);
    dv_error error = {0};
    dv_slice text;
    assert_int_equal(dv_event_code_text(dv_buf_slice(code), room, NULL, &text, &error), DV_OK);
    if (!dv_slice_eq(text, dv_buf_slice(wanted))) {
        fail_msg("wanted %.*s\ngot %.*s", DV_SLICE_ARGS(dv_buf_slice(wanted)), DV_SLICE_ARGS(text));
    }
    assert_int_equal(dv_event_code_decode(dv_buf_slice(code), &decoded, &error), DV_OK);
    assert_int_equal(decoded.is_close
                         ? dv_event_code_close(&again, &decoded.request, &decoded.outcome)
                         : dv_event_code_open(&again, &decoded.request),
                     DV_OK);
    assert_true(dv_slice_eq(dv_buf_slice(&again), dv_buf_slice(code)));
}

static void test_expands_to_what_the_builders_write(void **state)
{
    dv_auto(buf) dv_buf code = dv_buf_init(DV_LIMIT_RECORD);
    dv_auto(buf) dv_buf wanted = dv_buf_init(DV_LIMIT_RECORD);
    dv_auto(buf) dv_buf room = dv_buf_init(DV_LIMIT_RECORD);
    size_t cut = 0;
    for (seed = 0; seed < ROUNDS;) {
        uint64_t round = seed;
        random_request();
        random_outcome();
        dv_buf_clear(&code);
        dv_buf_clear(&wanted);
        assert_int_equal(dv_event_request_open(&wanted, &f.request), DV_OK);
        assert_int_equal(dv_event_code_open(&code, &f.request), DV_OK);
        check_code(&code, &wanted, &room);
        cut += dv_slice_find(dv_buf_slice(&wanted), DV_LIT("is_truncated")) >= 0;
        dv_buf_clear(&code);
        dv_buf_clear(&wanted);
        assert_int_equal(dv_event_request_close(&wanted, &f.request, &f.outcome), DV_OK);
        assert_int_equal(dv_event_code_close(&code, &f.request, &f.outcome), DV_OK);
        check_code(&code, &wanted, &room);
        seed = round + 1;
    }
    assert_in_range(cut, ROUNDS / 20, ROUNDS - ROUNDS / 20);
}

static void fill(char *text, size_t len)
{
    memset(text, 1, len - 1); /* six bytes each in JSON */
    text[len - 1] = '\0';
}

static void test_worst_case_fits_a_record(void **state)
{
    static char big[4096];
    fill(big, sizeof(big));
    dv_slice text = dv_slice_of(big, sizeof(big) - 1);
    dv_slice groups[64];
    dv_sighting sightings[4096];
    for (size_t i = 0; i < DV_ARRAY_LEN(groups); i++) {
        groups[i] = text;
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(sightings); i++) {
        sightings[i] = (dv_sighting){big, big, DV_ACTION_PLACEHOLDER, 255, UINT32_MAX};
    }
    dv_principal principal = {DV_PRINCIPAL_USER, text, text, NULL, 0, groups, DV_ARRAY_LEN(groups)};
    dv_credential credential = {.kind = text, .id = text};
    dv_event_limit limit = {text,       big,       UINT64_MAX, UINT64_MAX, INT64_MIN,
                            INT64_MIN,  INT64_MIN, false,      INT64_MIN,  UINT64_MAX,
                            UINT64_MAX, true,      UINT64_MAX, UINT64_MAX};
    dv_verdict verdict = {.decision = DV_DENY, .reason = DV_REASON_BAD_CONTENT_TYPE};
    fill(verdict.policy, sizeof(verdict.policy));
    char others[DV_VERDICT_OTHERS_MAX];
    fill(others, sizeof(others));
    for (size_t i = DV_VERDICT_POLICY_MAX - 1; i < sizeof(others); i += DV_VERDICT_POLICY_MAX) {
        others[i] = '\n';
    }
    verdict.others = dv_slice_of(others, sizeof(others) - 1);
    verdict.unnamed = UINT16_MAX;
    fill(verdict.detail, sizeof(verdict.detail));
    dv_event_request request = {text,     0,         &principal, &credential, text,      1,    text,
                                text,     text,      text,       text,        text,      text, text,
                                &verdict, sightings, 4096,       &limit,      UINT64_MAX};
    dv_event_outcome outcome = {INT64_MIN, INT32_MIN,  INT32_MIN, INT64_MIN, INT64_MIN, INT64_MAX,
                                1,         UINT64_MAX, true,      NULL,      sightings, 4096};
    dv_event_volume volumes[DV_EVENT_VOLUMES_MAX];
    for (size_t i = 0; i < DV_ARRAY_LEN(volumes); i++) {
        volumes[i] = (dv_event_volume){text, big, UINT64_MAX, UINT64_MAX, INT64_MAX, true};
    }
    outcome.volumes = volumes;
    outcome.volume_count = DV_ARRAY_LEN(volumes);
    dv_auto(buf) dv_buf code = dv_buf_init(DV_LIMIT_RECORD);
    dv_auto(buf) dv_buf wanted = dv_buf_init(DV_LIMIT_RECORD);
    dv_auto(buf) dv_buf room = dv_buf_init(DV_LIMIT_RECORD);
    assert_int_equal(dv_event_request_close(&wanted, &request, &outcome), DV_OK);
    assert_int_equal(dv_event_code_close(&code, &request, &outcome), DV_OK);
    assert_true(code.len > 40000);
    check_code(&code, &wanted, &room);
}

static dv_event_request small_request(void)
{
    return (dv_event_request){.request_id = DV_LIT("id"), .method = DV_LIT("GET"), .time = 1};
}

static void test_no_room_leaves_the_buffer_alone(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(300);
    dv_event_request request = small_request();
    dv_event_outcome outcome = {.status = 200};
    assert_int_equal(dv_buf_append_str(&out, "before"), DV_OK);
    assert_int_equal(dv_event_code_open(&out, &request), DV_ERR_TOO_LARGE);
    assert_int_equal(dv_event_code_close(&out, &request, &outcome), DV_ERR_TOO_LARGE);
    assert_int_equal(out.len, 6);
}

static void test_a_query_is_in_no_code(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_request request = small_request();
    request.path = DV_LIT("/v1/models?key=secret");
    assert_int_equal(dv_event_code_open(&out, &request), DV_OK);
    assert_true(dv_slice_find(dv_buf_slice(&out), DV_LIT("/v1/models")) >= 0);
    assert_true(dv_slice_find(dv_buf_slice(&out), DV_LIT("secret")) < 0);
}

static void test_json_is_left_as_it_is(void **state)
{
    dv_auto(buf) dv_buf room = dv_buf_init(DV_LIMIT_RECORD);
    dv_slice text;
    assert_int_equal(dv_event_code_text(DV_LIT("{\"metadata\":{}}"), &room, NULL, &text, NULL),
                     DV_OK);
    assert_true(dv_slice_eq_str(text, "{\"metadata\":{}}"));
    assert_int_equal(dv_event_code_text(DV_LIT("not an event"), &room, NULL, &text, NULL), DV_OK);
    assert_true(dv_slice_eq_str(text, "not an event"));
    assert_int_equal(dv_event_code_text((dv_slice){NULL, 0}, &room, NULL, &text, NULL), DV_OK);
    assert_int_equal(text.len, 0);
}

static void refuse(dv_slice code, const char *why)
{
    static dv_event_decoded decoded;
    dv_auto(buf) dv_buf room = dv_buf_init(DV_LIMIT_RECORD);
    dv_error error = {0};
    dv_slice text = DV_LIT("untouched");
    assert_int_equal(dv_event_code_decode(code, &decoded, &error), DV_ERR_INVALID);
    if (why != NULL && strstr(error.message, why) == NULL) {
        fail_msg("wanted \"%s\", got \"%s\"", why, error.message);
    }
    assert_null(decoded.request.sightings);
    if (code.len > 0) {
        assert_int_equal(dv_event_code_text(code, &room, NULL, &text, NULL), DV_ERR_INVALID);
        assert_true(dv_slice_eq_str(text, "untouched"));
    }
}

static void test_every_cut_is_refused(void **state)
{
    dv_auto(buf) dv_buf code = dv_buf_init(DV_LIMIT_RECORD);
    for (seed = 7; seed < 12;) {
        uint64_t round = seed;
        random_request();
        random_outcome();
        dv_buf_clear(&code);
        assert_int_equal(dv_event_code_close(&code, &f.request, &f.outcome), DV_OK);
        for (size_t len = 0; len < DV_MIN(code.len, (size_t)3000); len++) {
            refuse(dv_slice_of(code.ptr, len), NULL);
        }
        assert_int_equal(dv_buf_append_byte(&code, 0), DV_OK);
        refuse(dv_buf_slice(&code), "end");
        seed = round + 1;
    }
}

static void test_unknown_versions_say_so(void **state)
{
    dv_auto(buf) dv_buf code = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_request request = small_request();
    assert_int_equal(dv_event_code_open(&code, &request), DV_OK);
    for (uint8_t version = 0; version < DV_EVENT_CODE_FIRST_JSON; version++) {
        code.ptr[0] = version;
        if (version != DV_EVENT_CODE_VERSION && version != DV_EVENT_CODE_BEFORE) {
            refuse(dv_buf_slice(&code), "unknown version");
        }
    }
}

/* A code in pieces, of the version without volumes: version, flags, time, request, and what the
 * test puts behind it. */
static void begin(dv_buf *code, uint8_t flags)
{
    dv_buf_clear(code);
    assert_int_equal(dv_buf_append_byte(code, DV_EVENT_CODE_BEFORE), DV_OK);
    assert_int_equal(dv_buf_append_byte(code, flags), DV_OK);
    assert_int_equal(dv_buf_append(code, DV_LIT("\0\0\0\0\0\0\0\0")), DV_OK);
}

static void add(dv_buf *code, const char *hex)
{
    uint8_t bytes[64];
    size_t len = strlen(hex) / 2;
    assert_int_equal(dv_hex_decode(dv_slice_str(hex), bytes, len), DV_OK);
    assert_int_equal(dv_buf_append(code, dv_slice_of(bytes, len)), DV_OK);
}

/* Twelve empty fields. */
#define NO_REQUEST "000000000000000000000000"

static void add_many(dv_buf *code, const char *hex, size_t times)
{
    for (size_t i = 0; i < times; i++) {
        add(code, hex);
    }
}

static void check_refused(uint8_t flags, const char *hex, const char *why)
{
    dv_auto(buf) dv_buf code = dv_buf_init(DV_LIMIT_RECORD);
    begin(&code, flags);
    add(&code, hex);
    refuse(dv_buf_slice(&code), why);
}

static void check_taken(uint8_t flags, const char *hex)
{
    static dv_event_decoded decoded;
    dv_auto(buf) dv_buf code = dv_buf_init(DV_LIMIT_RECORD);
    dv_error error = {0};
    begin(&code, flags);
    add(&code, hex);
    if (dv_event_code_decode(dv_buf_slice(&code), &decoded, &error) != DV_OK) {
        fail_msg("%s: %s", hex, error.message);
    }
}

static void test_flags_must_agree(void **state)
{
    check_taken(0, NO_REQUEST "0000");
    check_refused(2, NO_REQUEST "0000", "flags");   /* a service that is no caller */
    check_refused(16, NO_REQUEST "0000", "flags");  /* allowed, not decided */
    check_refused(128, NO_REQUEST "0000", "flags"); /* an open record that was aborted */
}

static void test_numbers_are_checked(void **state)
{
    check_taken(0, "0000ffff03" /* port */ "000000000000000000"
                   "0000");
    check_refused(0,
                  "0000808004"
                  "000000000000000000"
                  "0000",
                  "request"); /* port 65536 */
    check_refused(0,
                  "00008000"
                  "000000000000000000"
                  "0000",
                  "request"); /* not its shortest */
    check_taken(0, "0000000000000000000000"
                   "ffffffffffffffffff01"
                   "0000");
    check_refused(0,
                  "0000000000000000000000"
                  "ffffffffffffffffff02"
                  "0000",
                  "request");
    check_refused(0,
                  "0000000000000000000000"
                  "ffffffffffffffffffff01"
                  "0000",
                  "request");
}

static void test_texts_have_limits(void **state)
{
    dv_auto(buf) dv_buf code = dv_buf_init(DV_LIMIT_RECORD);
    static dv_event_decoded decoded;
    begin(&code, 0);
    add(&code, "8101"); /* 129 bytes of a request id that may have 128: it will be cut */
    add_many(&code, "61", 129);
    add(&code, "0000000000000000000000"
               "0000");
    assert_int_equal(dv_event_code_decode(dv_buf_slice(&code), &decoded, NULL), DV_OK);
    begin(&code, 0);
    add(&code, "8201");
    add_many(&code, "61", 130);
    add(&code, "0000000000000000000000"
               "0000");
    refuse(dv_buf_slice(&code), "request");
    check_refused(0,
                  "0000000000"
                  "023f61"
                  "000000000000"
                  "0000",
                  "request"); /* a query string */
}

static void test_lists_have_limits(void **state)
{
    dv_auto(buf) dv_buf code = dv_buf_init(DV_LIMIT_RECORD);
    static dv_event_decoded decoded;
    for (int more = 0; more < 2; more++) {
        begin(&code, 1);
        add(&code, NO_REQUEST "0000");
        assert_int_equal(dv_buf_append_byte(&code, (uint8_t)(DV_EVENT_GROUPS_MAX + more)), DV_OK);
        add_many(&code, "00", DV_EVENT_GROUPS_MAX + (size_t)more);
        add(&code, "0000");
        assert_int_equal(dv_event_code_decode(dv_buf_slice(&code), &decoded, NULL),
                         more == 0 ? DV_OK : DV_ERR_INVALID);
        begin(&code, 0);
        add(&code, NO_REQUEST);
        assert_int_equal(dv_buf_append_byte(&code, (uint8_t)(DV_EVENT_SIGHTINGS_MAX + more)),
                         DV_OK);
        add(&code, "00");
        add_many(&code,
                 "0000"
                 "0000"
                 "05626c6f636b"
                 "0001",
                 DV_EVENT_SIGHTINGS_MAX + (size_t)more);
        assert_int_equal(dv_event_code_decode(dv_buf_slice(&code), &decoded, NULL),
                         more == 0 ? DV_OK : DV_ERR_INVALID);
    }
}

static void test_names_must_be_known(void **state)
{
    check_taken(8, NO_REQUEST "026f6b000000"
                              "0000"); /* "ok" */
    check_refused(8,
                  NO_REQUEST "026f6c000000"
                             "0000",
                  "verdict"); /* "ol" */
    check_refused(0,
                  NO_REQUEST "0100"
                             "0000"
                             "0000"
                             "05626c6f636c"
                             "0001",
                  "sightings");
}

/* Behind reason and first policy: ids with newlines between them, and how many are not named. */
static void test_policies_are_ids(void **state)
{
#define FIRST "026f6b0161"
    check_taken(8, NO_REQUEST FIRST "00000000");         /* none */
    check_taken(8, NO_REQUEST FIRST "016200000000");     /* b */
    check_taken(8, NO_REQUEST FIRST "03620a6305000000"); /* b, c and 5 more */
    static const char *const wrong[] = {
        "02620a00000000",     /* an empty one at the end */
        "020a6200000000",     /* at the front */
        "04620a0a6300000000", /* between */
        "03620063"
        "00000000", /* a NUL */
        "0162"
        "808004"
        "000000", /* 65536 are not named */
        "0162",   /* how many is missing */
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(wrong); i++) {
        char hex[512];
        snprintf(hex, sizeof(hex), "%s%s%s", NO_REQUEST, FIRST, wrong[i]);
        check_refused(8, hex, "verdict");
    }
}

static void test_strings_end_where_they_say(void **state)
{
    check_taken(0, NO_REQUEST "0100"
                              "016100"
                              "0000"
                              "05626c6f636b"
                              "0001");
    check_refused(0,
                  NO_REQUEST "0100"
                             "010000"
                             "0000"
                             "05626c6f636b"
                             "0001",
                  "sightings");
    check_refused(0,
                  NO_REQUEST "0100"
                             "016161"
                             "0000"
                             "05626c6f636b"
                             "0001",
                  "sightings");
    check_refused(8,
                  NO_REQUEST "026f6b"
                             "020061"
                             "0000"
                             "0000",
                  "verdict");
}

static void test_reservations_are_whole(void **state)
{
#define LIMIT_TIMES "000000000000000000000000000000000000000000000000"
    check_taken(32, NO_REQUEST "0000"
                               "00"
                               "00"
                               "0000"
                               "0000" LIMIT_TIMES);
    check_refused(32,
                  NO_REQUEST "0000"
                             "08"
                             "00"
                             "0000"
                             "0000" LIMIT_TIMES,
                  "limit");
    check_refused(32,
                  NO_REQUEST "0000"
                             "04"
                             "00"
                             "0000"
                             "0000" LIMIT_TIMES,
                  "limit");
    check_refused(32,
                  NO_REQUEST "0000"
                             "02"
                             "00"
                             "0000"
                             "0000" LIMIT_TIMES "0000000000000000"
                             "0000",
                  "limit");
    check_taken(32, NO_REQUEST "0000"
                               "06"
                               "00"
                               "0000"
                               "0000" LIMIT_TIMES "0100000000000000"
                               "00000000");
}

static void test_unlisted_sightings_are_counted(void **state)
{
    check_taken(0, NO_REQUEST "00"
                              "0101");
    check_refused(0,
                  NO_REQUEST "00"
                             "0102",
                  "sightings");
    check_taken(0, NO_REQUEST "00"
                              "ffffffff0f"
                              "01");
    check_refused(0,
                  NO_REQUEST "00"
                             "8080808010"
                             "01",
                  "sightings");
}

/* A code of this version: nothing but volumes. */
static void check_volumes(const char *hex, bool good)
{
    static dv_event_decoded decoded;
    dv_auto(buf) dv_buf code = dv_buf_init(DV_LIMIT_RECORD);
    begin(&code, 0);
    code.ptr[0] = DV_EVENT_CODE_VERSION;
    add(&code, NO_REQUEST "0000");
    add(&code, hex);
    assert_int_equal(dv_event_code_decode(dv_buf_slice(&code), &decoded, NULL),
                     good ? DV_OK : DV_ERR_INVALID);
}

static void test_volumes_are_checked(void **state)
{
    check_volumes("00", true);
    check_volumes("01"
                  "0161"           /* a */
                  "05616c65727400" /* alert */
                  "0c0a0f"
                  "01",
                  true);
    check_volumes("01"
                  "0161"
                  "05616c65727400"
                  "0c0a0f"
                  "02",
                  false);
    check_volumes("01"
                  "0161"
                  "05616c657274" /* no NUL */
                  "0c0a0f"
                  "01",
                  false);
    check_volumes("01"
                  "0161"
                  "05616c65727400"
                  "0c0a"
                  "ffffffffffffffffff01" /* longer than time is */
                  "01",
                  false);
    check_volumes("", false);
    check_volumes("11", false);
    for (int more = 0; more < 2; more++) {
        static dv_event_decoded decoded;
        dv_auto(buf) dv_buf code = dv_buf_init(DV_LIMIT_RECORD);
        begin(&code, 0);
        code.ptr[0] = DV_EVENT_CODE_VERSION;
        add(&code, NO_REQUEST "0000");
        assert_int_equal(dv_buf_append_byte(&code, (uint8_t)(DV_EVENT_VOLUMES_MAX + more)), DV_OK);
        add_many(&code, "00000000000000", DV_EVENT_VOLUMES_MAX + (size_t)more);
        assert_int_equal(dv_event_code_decode(dv_buf_slice(&code), &decoded, NULL),
                         more == 0 ? DV_OK : DV_ERR_INVALID);
    }
}

static int make_arena(void **state)
{
    f.arena = dv_arena_new(1 << 20);
    return f.arena == NULL;
}

static int free_arena(void **state)
{
    dv_arena_free(f.arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expands_to_what_the_builders_write),
        cmocka_unit_test(test_worst_case_fits_a_record),
        cmocka_unit_test(test_no_room_leaves_the_buffer_alone),
        cmocka_unit_test(test_a_query_is_in_no_code),
        cmocka_unit_test(test_json_is_left_as_it_is),
        cmocka_unit_test(test_every_cut_is_refused),
        cmocka_unit_test(test_unknown_versions_say_so),
        cmocka_unit_test(test_flags_must_agree),
        cmocka_unit_test(test_numbers_are_checked),
        cmocka_unit_test(test_texts_have_limits),
        cmocka_unit_test(test_lists_have_limits),
        cmocka_unit_test(test_names_must_be_known),
        cmocka_unit_test(test_policies_are_ids),
        cmocka_unit_test(test_strings_end_where_they_say),
        cmocka_unit_test(test_reservations_are_whole),
        cmocka_unit_test(test_volumes_are_checked),
        cmocka_unit_test(test_unlisted_sightings_are_counted),
    };
    return cmocka_run_group_tests(tests, make_arena, free_arena);
}
