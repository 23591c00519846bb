/* SPDX-License-Identifier: Apache-2.0 */
#include "core/event_personal.h"

/* The caller. Only addresses are known of one who is not authenticated. */
#define ACTOR(p)                                                                                   \
    {                                                                                              \
        .path = (p), .subjects = { "actor.user.uid" }                                              \
    }
#define CALLER(p)                                                                                  \
    {                                                                                              \
        .path = (p), .subjects = {"actor.user.uid"}, .or_day = true                                \
    }
/* Whom the event is about. */
#define USER(p)                                                                                    \
    {                                                                                              \
        .path = (p), .subjects = { "user.uid" }                                                    \
    }
/* Free text and content: of whom the event is about where it names one, otherwise its actor's. */
#define ABOUT(p)                                                                                   \
    {                                                                                              \
        .path = (p), .subjects = {                                                                 \
            "user.uid",                                                                            \
            "entity.user.uid",                                                                     \
            "resources.uid",                                                                       \
            "actor.user.uid"                                                                       \
        }                                                                                          \
    }

const dv_event_personal_path dv_event_personal_paths[] = {
    ACTOR("actor.user.name"),
    ACTOR("actor.user.uid"),
    ACTOR("actor.user.programmatic_credentials.uid"),
    CALLER("src_endpoint.ip"),
    CALLER("src_endpoint.port"),
    CALLER("http_request.user_agent"),
    /* A limit's name can be a user's or an address: user/alice, address/192.0.2.7. */
    CALLER("unmapped.dvara.limit.key"),
    USER("user.name"),
    USER("user.uid"),
    USER("session.credential_uid"),
    {.path = "entity.name", .subjects = {"entity.user.uid"}},
    {.path = "entity.user.uid", .subjects = {"entity.user.uid"}},
    /* A thing that a control call names is a person's where it has a uid. */
    {.path = "resources.name", .subjects = {"resources.uid"}},
    {.path = "resources.uid", .subjects = {"resources.uid"}},
    {.path = "assignee.name", .subjects = {"assignee.uid"}},
    {.path = "assignee.uid", .subjects = {"assignee.uid"}},
    {.path = "unmapped.dvara.target", .subjects = {"unmapped.dvara.about"}},
    {.path = "unmapped.dvara.about", .subjects = {"unmapped.dvara.about"}},
    {.path = "remediation.desc", .subjects = {"unmapped.dvara.about"}},
    /* What an alert counted, by the values of events, and looked for. Whom these name has no member
     * of its own: the log finds out (engine/log/seal.h). */
    CALLER("unmapped.dvara.alert.group"),
    CALLER("unmapped.dvara.alert.query"),
    ABOUT("entity.data"),
    ABOUT("status_detail"),
    ABOUT("message"),
    ABOUT("finding_info.title"),
    ABOUT("finding_info_list.title"),
    ABOUT("query_info.query_string"),
    ABOUT("unmapped.dvara.reason"),
};

const size_t dv_event_personal_path_count = DV_ARRAY_LEN(dv_event_personal_paths);

const dv_event_personal_path *dv_event_personal_path_find(dv_slice path)
{
    for (size_t i = 0; i < dv_event_personal_path_count; i++) {
        if (dv_slice_eq_str(path, dv_event_personal_paths[i].path)) {
            return &dv_event_personal_paths[i];
        }
    }
    return NULL;
}
