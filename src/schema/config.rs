//! The schema of the configuration, `kyc-rules.yaml`. Any value may contain `${VAR}` or `${file:PATH}`.

use serde_json::{Value, json};

use super::{
    channels,
    filled::{default, form, size, some, whole, word},
    forms,
    shape::{self, any, examples, key, map, text, with},
};

const LISTEN: &str = r"(?:localhost|[0-9.]+|\[[0-9A-Fa-f:.%]+\])?:[0-9]{1,5}";
/// An IPv4 or IPv6 address or range.
const NET: &str = "[0-9A-Fa-f.:]+(?:/[0-9]{1,3})?";

pub(super) fn file() -> Value {
    let running = [
        key("data", data()),
        key("rules", default(text("The rules directory, with `*.yaml`, `templates/` and `labels/`."), "./rules")),
        key("brand", brand()),
        key(
            "locale",
            default(
                form(
                    "The language of customers whose language is not known.",
                    "[A-Za-z0-9]{2,3}(?:[_\\-][A-Za-z0-9]{2,8})*",
                    "write, for example, de or de-AT",
                ),
                "en",
            ),
        ),
        key(
            "timezone",
            examples(
                form(
                    "The time zone, for quiet hours, of customers whose time zone is not known.",
                    forms::TIMEZONE,
                    "write, for example, Europe/Berlin",
                ),
                &["Europe/Berlin", "UTC"],
            ),
        ),
        key("statuses", statuses()),
        key("processing_statuses", status_names("Additional processing status names that rules may use.")),
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
                                "Minimum free disk space. With less, callbacks get 503 and the provider retries them.",
                            ),
                            "256MB",
                        ),
                    ),
                    key("view_cache", default(size("Maximum memory for the cache of the view."), "32MB")),
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
                                "`enforce`: rules with failing tests are refused. `warn`: they load with a warning.",
                                &["enforce", "warn"],
                            ),
                            "enforce",
                        ),
                    ),
                    key(
                        "blast_limit",
                        whole(
                            "A reload that would order more jobs than this within an hour is refused.",
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
                "The log of the program.",
                &[],
                [
                    key("format", default(word("The format: `text` or JSON objects.", &["text", "json"]), "text")),
                    key(
                        "level",
                        default(word("The minimum level.", &["error", "warn", "info", "debug", "trace"]), "info"),
                    ),
                ],
            ),
        ),
    ];
    let keys = running.into_iter().chain(talking).chain(keeping);
    let root = map("The configuration. A change needs a restart; a change of the rules does not.", &["callback"], keys);
    shape::file(root, [])
}

fn data() -> Value {
    let place = r"postgres(?:ql)?://.*|(?!.*://)\S.*";
    let data = form("The data directory, preferably on a separate disk.", place, "write, for example, ./data");
    default(shape::or_number(data), "./data")
}

fn brand() -> Value {
    map(
        "The merchant, as named in mails.",
        &[],
        [
            key("name", text("The shop's name.")),
            key("support", text("The address for customers' questions.")),
            key("url", text("The shop's website.")),
        ],
    )
}

fn status_names(about: &str) -> Value {
    let name = form(
        "A status name, as the provider sends it.",
        r"[^\u0000-\u001f\u007f-\u009f]{1,64}",
        "use at most 64 bytes",
    );
    let name = shape::or_number(with(name, "allOf", json!([{"pattern": r"\S"}])));
    some(about, name)
}

fn statuses() -> Value {
    let both = map(
        "Status names of both kinds.",
        &[],
        [key("kyc", status_names("KYC status names.")), key("processing", status_names("Processing status names."))],
    );
    any(
        "Additional status names that rules may use: a list, or a map of `kyc` and `processing`.",
        [status_names("KYC status names."), both],
    )
}

fn callback() -> Value {
    let listen = form("The address and port for the provider's callbacks.", LISTEN, "write, for example, 0.0.0.0:8080");
    let path = form(
        "The path for callbacks. A secret part makes forgery harder.",
        r"(?!.*//)/[^\s?#%]*",
        "write, for example, /callbacks/kyc, without escapes",
    );
    let tls = map(
        "Serves callbacks over HTTPS.",
        &["certificate", "key"],
        [
            key("certificate", text("The PEM file with the certificate and its intermediate certificates.")),
            key("key", text("The PEM file with the private key.")),
        ],
    );
    let secrets = some(
        "The secret key shared with the provider. During a change: two keys, the newest first.",
        text("A key, for example ${KYC_RULES_SECRET}."),
    );
    map(
        "The listener for the provider's callbacks.",
        &["secrets"],
        [
            key("listen", default(listen, "0.0.0.0:8080")),
            key("path", default(path, "/callbacks/kyc")),
            key("secrets", secrets),
            key("tls", tls),
            key("allow_from", nets("The addresses that may send callbacks. Default: all addresses.")),
            key("trusted_proxies", nets("The proxies whose X-Forwarded-For header is trusted.")),
            key("connections", whole("Maximum number of simultaneous connections.", 16, 1_000_000)),
        ],
    )
}

fn nets(about: &str) -> Value {
    some(about, form("An address or a range of addresses.", NET, "write, for example, 10.0.0.0/8 or 192.0.2.7"))
}

fn admin() -> Value {
    let token = form(
        "The operators' token. Default: the first start creates one in the data directory.",
        "[!-~]{16,}",
        "use 16 characters or more, without spaces",
    );
    let listen = form(
        "The address and port for health checks, metrics and the command line.",
        LISTEN,
        "write, for example, 127.0.0.1:8081",
    );
    map(
        "The listener for operators.",
        &[],
        [
            key("listen", default(listen, "127.0.0.1:8081")),
            key("token", shape::or_number(token)),
            key(
                "hosts",
                some(
                    "Additional host names that a browser may use for this listener.",
                    form("A host name.", r"[^\s:/@]+", "write, for example, admin.shop.example, without a port"),
                ),
            ),
        ],
    )
}
