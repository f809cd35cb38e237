//! The configuration, `kyc-rules.yaml`. Wherever a value stands, `${VAR}` or `${file:PATH}` may stand in it.

use serde_json::{Value, json};

use super::{
    channels,
    filled::{default, form, size, some, whole, word},
    forms,
    shape::{self, any, examples, key, map, text, with},
};

const LISTEN: &str = r"(?:localhost|[0-9.]+|\[[0-9A-Fa-f:.%]+\])?:[0-9]{1,5}";
/// A range or an address, of either version.
const NET: &str = "[0-9A-Fa-f.:]+(?:/[0-9]{1,3})?";

pub(super) fn file() -> Value {
    let running = [
        key("data", data()),
        key("rules", default(text("The directory of the rules: `*.yaml`, `templates/`, `labels/`."), "./rules")),
        key("brand", brand()),
        key(
            "locale",
            default(
                form(
                    "The language of customers of whom none is known.",
                    "[A-Za-z0-9]{2,3}(?:[_\\-][A-Za-z0-9]{2,8})*",
                    "write as de or de-AT",
                ),
                "en",
            ),
        ),
        key(
            "timezone",
            examples(
                form(
                    "The time zone of customers of whom none is known, for quiet hours.",
                    forms::TIMEZONE,
                    "write as Europe/Berlin",
                ),
                &["Europe/Berlin", "UTC"],
            ),
        ),
        key("statuses", statuses()),
        key(
            "processing_statuses",
            status_names("Processing status names beyond the documented ones that rules may use."),
        ),
        key("callback", callback()),
        key("admin", admin()),
    ];
    let talking = [
        key("email", channels::email()),
        key("webhooks", channels::webhooks()),
        key("chats", channels::chats()),
        key("directory", channels::directory()),
        key("provider", channels::provider()),
    ];
    let keeping = [
        key(
            "store",
            map(
                "The embedded store.",
                &[],
                [
                    key(
                        "min_free",
                        default(
                            size(
                                "With less free space on the disk callbacks are refused, and the provider comes again.",
                            ),
                            "256MB",
                        ),
                    ),
                    key("view_cache", default(size("What the view may keep in memory."), "32MB")),
                ],
            ),
        ),
        key(
            "reload",
            map(
                "What happens when rules are saved.",
                &[],
                [
                    key(
                        "tests",
                        default(
                            word(
                                "`enforce`: rules whose tests fail are not loaded; `warn`: they are, with a warning.",
                                &["enforce", "warn"],
                            ),
                            "enforce",
                        ),
                    ),
                    key(
                        "blast_limit",
                        whole(
                            "A reload that would act at once for more customers than this is refused.",
                            0,
                            1_000_000_000,
                        ),
                    ),
                ],
            ),
        ),
        key(
            "log",
            map(
                "What the program writes to its log.",
                &[],
                [
                    key(
                        "format",
                        default(word("Lines for people, or objects for machines.", &["text", "json"]), "text"),
                    ),
                    key("level", default(word("How much.", &["error", "warn", "info", "debug", "trace"]), "info")),
                ],
            ),
        ),
    ];
    let keys = running.into_iter().chain(talking).chain(keeping);
    let root = map("The configuration. A change needs a restart; the rules don't.", &["callback"], keys);
    shape::file(root, [])
}

fn data() -> Value {
    let place = r"postgres(?:ql)?://.*|(?!.*://)\S.*";
    let data = form("Where the store is: a directory, on a disk of its own if you can.", place, "write as ./data");
    default(shape::or_number(data), "./data")
}

fn brand() -> Value {
    map(
        "What mails call you.",
        &[],
        [
            key("name", text("The shop's name.")),
            key("support", text("The address that customers write to.")),
            key("url", text("The shop's page.")),
        ],
    )
}

fn status_names(about: &str) -> Value {
    let name = form(
        "A status as the provider writes it.",
        r"[^\u0000-\u001f\u007f-\u009f]{1,64}",
        "a name of at most 64 bytes",
    );
    let name = shape::or_number(with(name, "allOf", json!([{"pattern": r"\S"}])));
    some(about, name)
}

fn statuses() -> Value {
    let both = map(
        "Names of both kinds.",
        &[],
        [key("kyc", status_names("KYC status names.")), key("processing", status_names("Processing status names."))],
    );
    any(
        "Status names beyond the documented ones that rules may use: a list, or a map of `kyc` and `processing`.",
        [status_names("KYC status names."), both],
    )
}

fn callback() -> Value {
    let listen = form("Where the provider's callbacks come in.", LISTEN, "write as 0.0.0.0:8080");
    let path = form(
        "The path of callbacks; an unguessable part makes forging harder.",
        r"(?!.*//)/[^\s?#%]*",
        "write as /callbacks/kyc, without escapes",
    );
    let tls = map(
        "Serve HTTPS.",
        &["certificate", "key"],
        [
            key("certificate", text("The file of the certificate and those that vouch for it, in PEM.")),
            key("key", text("The file of the private key, in PEM.")),
        ],
    );
    let secrets = some(
        "The key that you share with the provider; two at once, the newest first, while you change it.",
        text("A key, as ${KYC_RULES_SECRET}."),
    );
    map(
        "The side that the provider calls.",
        &["secrets"],
        [
            key("listen", default(listen, "0.0.0.0:8080")),
            key("path", default(path, "/callbacks/kyc")),
            key("secrets", secrets),
            key("tls", tls),
            key("allow_from", nets("Only these may call; not written, everybody.")),
            key("trusted_proxies", nets("Whose X-Forwarded-For is believed.")),
            key("connections", whole("How many connections are served at once.", 16, 1_000_000)),
        ],
    )
}

fn nets(about: &str) -> Value {
    some(about, form("A range of addresses, or one.", NET, "write as 10.0.0.0/8 or 192.0.2.7"))
}

fn admin() -> Value {
    let token = form(
        "The token of operators; else one is made on the first start, in the data directory.",
        "[!-~]{16,}",
        "16 characters or more, without spaces",
    );
    let listen = form("Health, metrics, and what the command line talks to.", LISTEN, "write as 127.0.0.1:8081");
    map(
        "The side of operators.",
        &[],
        [
            key("listen", default(listen, "127.0.0.1:8081")),
            key("token", shape::or_number(token)),
            key(
                "hosts",
                some(
                    "Names by which a browser may come, beyond those of this machine.",
                    form("A host name.", r"[^\s:/@]+", "write as admin.shop.example, without a port"),
                ),
            ),
        ],
    )
}
