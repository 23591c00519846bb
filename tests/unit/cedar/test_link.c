/* SPDX-License-Identifier: Apache-2.0 */
/* Templates and policies linked to them (specs: templates). */
#include "base/caps.h"
#include "engine/cedar/formats.h"

#include "tests/unit/cedar/world.h"

static const char templates[] =
    "@id(\"share\")\n"
    "permit(principal in ?principal, action == Action::\"view\", resource == ?resource)\n"
    "unless { resource == Photo::\"private\" };\n"
    "@id(\"stop\") forbid(principal is User in ?principal, action, resource);\n"
    "permit(principal == User::\"root\", action, resource);";

static dv_cedar_link link_of(const char *template_id, const char *id, const char *principal,
                             const char *resource)
{
    return (dv_cedar_link){dv_slice_str(template_id), dv_slice_str(id), dv_slice_str(principal),
                           dv_slice_str(resource)};
}

static world linked_world(const dv_cedar_link *links, size_t count)
{
    static const dv_slice groups[] = {{(const uint8_t *)"Group::\"friends\"", 16}};
    static const dv_cedar_entity entities[] = {
        {{(const uint8_t *)"User::\"bob\"", 11}, groups, 1, NULL, NULL}};
    world w = {.arena = dv_arena_new(1 << 20),
               .entities = entities,
               .entity_count = DV_ARRAY_LEN(entities)};
    dv_error error = {0};

    assert_non_null(w.arena);
    if (dv_cedar_parse_linked(dv_slice_str(templates), links, count, &w.set, &error) != DV_OK) {
        fail_msg("%s", error.message);
    }
    return w;
}

static void expect_reason(const world *w, const char *id)
{
    assert_int_equal(w->answer.reason_count, 1);
    assert_true(dv_slice_eq_str(w->answer.reasons[0], id));
}

static void a_template_alone_decides_nothing(void **unused)
{
    world w = linked_world(NULL, 0);

    assert_int_equal(dv_cedar_policy_count(w.set), 1);
    assert_int_equal(dv_cedar_template_count(w.set), 2);
    assert_int_equal(world_decide(&w, "User::\"bob\"", "Action::\"view\"", "Photo::\"p\"", NULL),
                     DV_DENY);
    assert_int_equal(w.answer.reason_count, 0);
    assert_int_equal(w.answer.error_count, 0);
    assert_int_equal(world_decide(&w, "User::\"root\"", "Action::\"view\"", "Photo::\"p\"", NULL),
                     DV_ALLOW);
    expect_reason(&w, "policy2"); /* templates are counted as well */
    world_end(&w);
}

static void links_decide_as_static_policies_do(void **unused)
{
    const dv_cedar_link links[] = {
        link_of("share", "s1", "Group::\"friends\"", "Photo::\"p\""),
        link_of("share", "s2", "Group::\"friends\"", "Photo::\"private\""),
        link_of("share", "s3", "User::\"eve\"", "Photo::\"p\""),
        link_of("stop", "n1", "User::\"eve\"", ""),
    };
    world w = linked_world(links, DV_ARRAY_LEN(links));

    assert_int_equal(dv_cedar_policy_count(w.set), 5);
    assert_int_equal(world_decide(&w, "User::\"bob\"", "Action::\"view\"", "Photo::\"p\"", NULL),
                     DV_ALLOW);
    expect_reason(&w, "s1");
    assert_int_equal(world_decide(&w, "User::\"bob\"", "Action::\"edit\"", "Photo::\"p\"", NULL),
                     DV_DENY);
    assert_int_equal(world_decide(&w, "User::\"bob\"", "Action::\"view\"", "Photo::\"q\"", NULL),
                     DV_DENY);
    assert_int_equal(
        world_decide(&w, "User::\"bob\"", "Action::\"view\"", "Photo::\"private\"", NULL), DV_DENY);
    assert_int_equal(world_decide(&w, "User::\"eve\"", "Action::\"view\"", "Photo::\"p\"", NULL),
                     DV_DENY);
    expect_reason(&w, "n1");
    world_end(&w);
}

static void expect_refused(dv_cedar_link link, const char *message)
{
    dv_cedar_policy_set *set = NULL;
    dv_error error = {0};

    assert_int_equal(dv_cedar_parse_linked(dv_slice_str(templates), &link, 1, &set, &error),
                     DV_ERR_INVALID);
    assert_null(set);
    if (strstr(error.message, message) == NULL) {
        fail_msg("'%s' does not say '%s'", error.message, message);
    }
}

static void refuses_bad_links(void **unused)
{
    char long_id[DV_LIMIT_NAME + 2] = {0};

    memset(long_id, 'x', sizeof(long_id) - 1);
    expect_refused(link_of("share", "s", "User::\"a\"", ""), "?resource has no value");
    expect_refused(link_of("share", "s", "", "Photo::\"p\""), "?principal has no value");
    expect_refused(link_of("stop", "s", "User::\"a\"", "Photo::\"p\""), "no such slot");
    expect_refused(link_of("share", "s", "bob", "Photo::\"p\""), "no entity");
    expect_refused(link_of("nope", "s", "", ""), "no template 'nope'");
    expect_refused(link_of("policy2", "s", "", ""), "no template 'policy2'");
    expect_refused(link_of("stop", "policy2", "User::\"a\"", ""), "the id 'policy2'");
    expect_refused(link_of("stop", "share", "User::\"a\"", ""), "the id 'share'");
    expect_refused(link_of("stop", "", "User::\"a\"", ""), "1 to 128 bytes");
    expect_refused(link_of("stop", long_id, "User::\"a\"", ""), "1 to 128 bytes");
}

static void bounds_links(void **unused)
{
    size_t count = DV_LIMIT_CEDAR_LINKS + 1;
    dv_auto(free) dv_cedar_link *links = calloc(count, sizeof(*links));
    dv_cedar_policy_set *set = NULL;
    dv_error error = {0};

    assert_non_null(links);
    assert_int_equal(dv_cedar_parse_linked(dv_slice_str(templates), links, count, &set, &error),
                     DV_ERR_INVALID);
    assert_non_null(strstr(error.message, "100000 links"));
}

/* The set as text whose policies all have their ids, links filled in behind the others. */
static void links_are_written_as_policies(void **unused)
{
    static const char others[] =
        "@id(\"policy2\") permit (principal == User::\"root\", action, resource);\n"
        "@id(\"share\") permit (principal in ?principal, action == Action::\"view\", "
        "resource == ?resource) unless { resource == Photo::\"private\" };\n"
        "@id(\"stop\") forbid (principal is User in ?principal, action, resource);\n";
    static const char linked[] =
        "@id(\"s\\\"1\") permit (principal in Group::\"friends\", action == Action::\"view\", "
        "resource == Photo::\"p\") unless { resource == Photo::\"private\" };\n"
        "@id(\"t\") forbid (principal is User in Group::\"foes\", action, resource);\n";
    const dv_cedar_link links[] = {link_of("share", "s\"1", "Group::\"friends\"", "Photo::\"p\""),
                                   link_of("stop", "t", "Group::\"foes\"", "")};
    world w = linked_world(links, DV_ARRAY_LEN(links));
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 16);
    dv_auto(cedar_policy_set) dv_cedar_policy_set *again = NULL;

    assert_int_equal(dv_cedar_text_write_named(w.set, false, &out), DV_OK);
    assert_string_equal(dv_buf_cstr(&out), others);
    assert_int_equal(dv_cedar_text_write_named(w.set, true, &out), DV_OK);
    assert_string_equal(dv_buf_cstr(&out) + strlen(others), linked);
    assert_int_equal(dv_cedar_parse(dv_buf_slice(&out), &again, NULL), DV_OK);
    assert_int_equal(dv_cedar_policy_count(again), 3);
    world_end(&w);
}

/* Links whose templates stand elsewhere, and one policy that has no key to be called by. */
static void json_comes_in_parts(void **unused)
{
    static const char text[] =
        "{\"templateLinks\": [\n {\"templateId\": \"far\", \"newId\": \"n\", \"values\": "
        "{\"?principal\": {\"type\": \"User\", \"id\": \"a\"}}}]}";
    static const char one[] = "{\"effect\": \"forbid\", \"principal\": {\"op\": \"All\"}, "
                              "\"action\": {\"op\": \"All\"}, \"resource\": {\"op\": "
                              "\"All\"}, \"conditions\": []}";
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    dv_auto(cedar_policy_set) dv_cedar_policy_set *single = NULL;
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 16);
    dv_cedar_json_part part = {0};

    assert_int_equal(dv_cedar_json_parse_part(dv_slice_str(text), DV_LIT("doc"), &set, &part, NULL),
                     DV_OK);
    assert_int_equal(dv_cedar_policy_count(set), 0);
    assert_int_equal(part.link_count, 1);
    assert_int_equal(part.links[0].offset, 21);
    assert_true(dv_slice_eq_str(part.links[0].template_id, "far"));
    assert_true(dv_slice_eq_str(part.links[0].principal, "User::\"a\""));
    assert_int_equal(
        dv_cedar_json_parse_part(dv_slice_str(one), DV_LIT("doc"), &single, &part, NULL), DV_OK);
    assert_int_equal(part.link_count, 0);
    assert_int_equal(dv_cedar_text_write_named(single, false, &out), DV_OK);
    assert_string_equal(dv_buf_cstr(&out), "@id(\"doc\") forbid (principal, action, resource);\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_template_alone_decides_nothing),
        cmocka_unit_test(links_decide_as_static_policies_do),
        cmocka_unit_test(refuses_bad_links),
        cmocka_unit_test(bounds_links),
        cmocka_unit_test(links_are_written_as_policies),
        cmocka_unit_test(json_comes_in_parts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
