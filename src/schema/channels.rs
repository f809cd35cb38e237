//! The configuration's sections that say whom the program talks to: mail, webhooks, chats, the shop and the provider.

use serde_json::Value;

use super::{
    filled::{default, duration, form, off_or, pause, some, url, whole, word},
    shape::{Key, examples, key, map, named, text, yes},
};

const NAME: &str = r"[A-Za-z0-9_\-]{1,64}";

pub(super) fn email() -> Value {
    let party = |about: &str| {
        form(
            about,
            r#"(?:[^<>]*<[^\s@<>]+@[^\s@<>]+>|[^\s@<>]+@[^\s@<>]+)"#,
            "write as Example Shop <kyc@shop.example>",
        )
    };
    let transport = form(
        "The mail server, or a directory for .eml files.",
        r"smtps?://\S+|file:.+",
        "begin with smtps://, smtp:// or file:",
    );
    map(
        "How mails are sent. Without this section rules can't mail.",
        &["from", "transport"],
        [
            key("from", party("Who writes.")),
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
                    "What EHLO says. Without it: the machine's full name, or else the connection's local address.",
                    r"(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?|\[(?:[0-9.]+|IPv6:[0-9A-Fa-f:.]+)\]",
                    "write as kyc.shop.example",
                ),
            ),
            key("reply_to", party("Where answers go.")),
            key(
                "brake",
                default(
                    brake("So many mails in a time; one more, and mails are paused until a person resumes them."),
                    "1000 per 1h",
                ),
            ),
            key("concurrency", whole("Mails sent at once.", 1, 64)),
            key(
                "per_domain",
                default(
                    rate("So many mails in a time to addresses of one domain; others are not held up."),
                    "10 per 1s",
                ),
            ),
        ],
    )
}

fn brake(about: &str) -> Value {
    form(about, &count_per(), "write as 1000 per 1h, or off")
}

fn rate(about: &str) -> Value {
    form(about, &count_per(), "write as 10 per 1s, or off")
}

fn count_per() -> String {
    off_or(&format!("0*[1-9][0-9]* +per +{}", super::forms::DURATION))
}

/// Of a target or a room.
fn own_brake() -> Key {
    key(
        "brake",
        brake(
            "So many orders in a time; one more, and it is paused until a person resumes it. Without it there is none.",
        ),
    )
}

fn private() -> Key {
    key("private", yes("Addresses of your own network are allowed."))
}

pub(super) fn webhooks() -> Value {
    let target = map(
        "A target.",
        &["url", "secret"],
        [
            key("url", url("Where it is POSTed to.")),
            key(
                "secret",
                some(
                    "What signs it; two at once, the newest first, while you change it.",
                    text("A secret, as ${file:/etc/kyc-rules/shop.key}."),
                ),
            ),
            private(),
            own_brake(),
        ],
    );
    named("Targets that rules may call, by their names.", NAME, target)
}

pub(super) fn chats() -> Value {
    let room = map(
        "A room.",
        &["kind", "url"],
        [
            key("kind", word("Whose incoming webhook it is.", &["slack", "mattermost", "teams", "discord"])),
            key("url", url("The room's incoming webhook. Whoever knows it can write there.")),
            private(),
            own_brake(),
        ],
    );
    named("Rooms that rules may write to, by their names.", NAME, room)
}

pub(super) fn directory() -> Value {
    let attribute =
        form("A name of letters, digits and `_`.", "[A-Za-z_][A-Za-z0-9_]{0,63}", "letters, digits and `_`");
    let lookup = map(
        "The shop's own API, asked for contacts.",
        &["url"],
        [
            key(
                "url",
                form(
                    "With `{id}` where the customer's id goes.",
                    r"https?://[^\s/?#@]+[/?#]\S*\{id\}\S*",
                    "write as https://shop.example/api/customers/{id}",
                ),
            ),
            key(
                "header",
                form(
                    "A header to send along, as `Authorization: Bearer ${SHOP_TOKEN}`.",
                    r"[A-Za-z0-9!#$%&'*+.^_`|~\-]+\s*:\s*\S.*",
                    "write as Authorization: Bearer …",
                ),
            ),
            key("cache", default(duration("How long an answer is believed."), "10m")),
            private(),
        ],
    );
    map(
        "Whom to write to.",
        &[],
        [
            key(
                "attributes",
                some("Columns of your own for `kyc-rules customers import`, and conditions on them.", attribute),
            ),
            key("lookup", lookup),
        ],
    )
}

pub(super) fn provider() -> Value {
    map(
        "The provider's API: with a key it is asked before anything acts.",
        &[],
        [
            key(
                "api",
                default(
                    form(
                        "The provider's environment, or the URL of an API that stands in for it.",
                        r"production|demo|https?://[^\s/?#@]+(?:[/?#]\S*)?",
                        "write as production, demo, or a URL without a user in it",
                    ),
                    "production",
                ),
            ),
            key("api_key", text("Your key, as ${XGATEWAY_API_KEY}.")),
            key("reconcile", default(pause("How often each customer is asked about whose status is not final."), "6h")),
            key("reconcile_final", default(pause("How often the others are asked about."), "7d")),
            key(
                "patience",
                default(
                    duration("How long a callback may wait for a decision before it is the problem `unanswered`."),
                    "1h",
                ),
            ),
        ],
    )
}
