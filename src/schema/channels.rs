//! The schema of the configuration's sections for mail, webhooks, chats, the shop's directory and the provider.

use serde_json::Value;

use super::{
    filled::{default, duration, form, off_or, pause, some, url, whole, word},
    shape::{SchemaKey, examples, key, map, named, text, yes},
};

const NAME: &str = r"[A-Za-z0-9_\-]{1,64}";

pub(super) fn email() -> Value {
    let party = |about: &str| {
        form(
            about,
            r#"(?:[^<>]*<[^\s@<>]+@[^\s@<>]+>|[^\s@<>]+@[^\s@<>]+)"#,
            "write, for example, Example Shop <kyc@shop.example>",
        )
    };
    let transport = form(
        "The mail server, or a directory for .eml files.",
        r"smtps?://\S+|file:.+",
        "start with smtps://, smtp:// or file:",
    );
    map(
        "How to send mails. Without this section, rules cannot send mails.",
        &["from", "transport"],
        [
            key("from", party("The sender.")),
            key(
                "transport",
                examples(
                    transport,
                    &["file:./mail", "smtps://user:${SMTP_PASSWORD}@mail.shop.example", "smtp://localhost:25?tls=none"],
                ),
            ),
            key(
                "hello",
                form(
                    "The name in EHLO. Default: the machine's full name, or the connection's local address.",
                    r"(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?|\[(?:[0-9.]+|IPv6:[0-9A-Fa-f:.]+)\]",
                    "write, for example, kyc.shop.example",
                ),
            ),
            key("reply_to", party("The address for replies.")),
            key(
                "brake",
                default(
                    brake("Maximum number of mails in a period. One more pauses mails until an operator resumes them."),
                    "1000 per 1h",
                ),
            ),
            key("concurrency", whole("Maximum number of mails sent at the same time.", 1, 64)),
            key(
                "per_domain",
                default(
                    rate("Maximum number of mails in a period to one domain. Mails to other domains are not delayed."),
                    "10 per 1s",
                ),
            ),
        ],
    )
}

fn brake(about: &str) -> Value {
    form(about, &count_per(), "write, for example, 1000 per 1h, or off")
}

fn rate(about: &str) -> Value {
    form(about, &count_per(), "write, for example, 10 per 1s, or off")
}

fn count_per() -> String {
    off_or(&format!("0*[1-9][0-9]* +per +{}", super::forms::DURATION))
}

/// The brake of a target or a room.
fn own_brake() -> SchemaKey {
    key(
        "brake",
        brake("Maximum number of orders in a period. One more pauses it until an operator resumes it. Default: none."),
    )
}

fn private() -> SchemaKey {
    key("private", yes("Allows addresses in private networks."))
}

pub(super) fn webhooks() -> Value {
    let target = map(
        "A webhook target.",
        &["url", "secret"],
        [
            key("url", url("The URL that receives the POST requests.")),
            key(
                "secret",
                some(
                    "The signing secret. During a change: two secrets, the newest first.",
                    text("A secret, for example ${file:/etc/kyc-rules/shop.key}."),
                ),
            ),
            private(),
            own_brake(),
        ],
    );
    named("The targets that rules may use, by name.", NAME, target)
}

pub(super) fn chats() -> Value {
    let room = map(
        "A chat room.",
        &["kind", "url"],
        [
            key("kind", word("The chat system.", &["slack", "mattermost", "teams", "discord"])),
            key("url", url("The room's incoming webhook. Keep it secret: it allows posting to the room.")),
            private(),
            own_brake(),
        ],
    );
    named("The rooms that rules may use, by name.", NAME, room)
}

pub(super) fn directory() -> Value {
    let attribute =
        form("A name of letters, digits and `_`.", "[A-Za-z_][A-Za-z0-9_]{0,63}", "use letters, digits and `_`");
    let lookup = map(
        "The shop's own API for contacts.",
        &["url"],
        [
            key(
                "url",
                form(
                    "The URL, with `{id}` in place of the customer's id.",
                    r"https?://[^\s/?#@]+[/?#]\S*\{id\}\S*",
                    "write, for example, https://shop.example/api/customers/{id}",
                ),
            ),
            key(
                "header",
                form(
                    "A request header, for example `Authorization: Bearer ${SHOP_TOKEN}`.",
                    r"[A-Za-z0-9!#$%&'*+.^_`|~\-]+\s*:\s*\S.*",
                    "write, for example, Authorization: Bearer …",
                ),
            ),
            key("cache", default(duration("How long an answer stays in the cache."), "10m")),
            private(),
        ],
    );
    map(
        "The source of customers' contacts.",
        &[],
        [
            key(
                "attributes",
                some("Your own columns for `kyc-rules customers import`. Conditions can test them.", attribute),
            ),
            key("lookup", lookup),
        ],
    )
}

pub(super) fn provider() -> Value {
    map(
        "The provider's API. With a key, the program asks it before rules act.",
        &[],
        [
            key(
                "api",
                default(
                    form(
                        "The provider's environment, or the URL of a replacement API.",
                        r"production|demo|https?://[^\s/?#@]+(?:[/?#]\S*)?",
                        "write production, demo, or a URL without user name and password",
                    ),
                    "production",
                ),
            ),
            key("api_key", text("Your key, for example ${XGATEWAY_API_KEY}.")),
            key("reconcile", default(pause("Interval of the check of each customer whose status is not final."), "6h")),
            key(
                "reconcile_final",
                default(pause("Interval of the check of each customer whose status is final."), "7d"),
            ),
            key(
                "patience",
                default(
                    duration(
                        "How long a callback may wait for a decision. After that, it becomes the problem `unanswered`.",
                    ),
                    "1h",
                ),
            ),
        ],
    )
}
