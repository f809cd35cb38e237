//! The request body for each kind of chat room, and its length limit.

use serde_json::{Value, json};

use super::{
    ChatKind,
    escape::{markdown, slack},
};
use crate::template::Phrase;

/// Discord's limit for a message, in characters.
const DISCORD_CHARS: usize = 2_000;

/// Discord's flag that shows no previews of links.
const SUPPRESS_EMBEDS: u32 = 1 << 2;

/// The body of the request.
pub fn payload(kind: ChatKind, text: &Phrase) -> Value {
    match kind {
        ChatKind::Slack => json!({"text": text.with(slack), "unfurl_links": false, "unfurl_media": false}),
        ChatKind::Mattermost => json!({"text": text.with(markdown)}),
        ChatKind::Teams => json!({
            "type": "message",
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": null,
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "body": [{"type": "TextBlock", "text": text.with(markdown), "wrap": true}],
                },
            }],
        }),
        ChatKind::Discord => json!({
            "content": cut(&text.with(markdown), DISCORD_CHARS),
            "allowed_mentions": {"parse": []},
            "flags": SUPPRESS_EMBEDS,
        }),
    }
}

/// Cuts the text to at most `chars` characters, never in the middle of an escape.
fn cut(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    let kept: String = text.chars().take(chars - 1).collect();
    let backslashes = kept.len() - kept.trim_end_matches('\\').len();
    let whole = if backslashes % 2 == 1 { &kept[..kept.len() - 1] } else { &kept };
    format!("{whole}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phrase(literal: &str, value: &str) -> Phrase {
        Phrase::of([literal, value])
    }

    #[test]
    fn the_merchants_text_is_markup_and_text_from_outside_is_escaped() {
        let text = phrase("*now*: ", "<!channel> *me*");
        assert_eq!(payload(ChatKind::Slack, &text)["text"], "*now*: &lt;!channel&gt; *me*");
        for (kind, at) in [
            (ChatKind::Mattermost, "/text"),
            (ChatKind::Teams, "/attachments/0/content/body/0/text"),
            (ChatKind::Discord, "/content"),
        ] {
            let said = payload(kind, &text);
            assert_eq!(said.pointer(at), Some(&json!("*now*: \\<!channel\\> \\*me\\*")), "{kind:?}");
        }
        assert_eq!(payload(ChatKind::Discord, &text)["allowed_mentions"], json!({"parse": []}));
    }

    #[test]
    fn a_message_to_discord_is_cut_to_its_limit() {
        let said = payload(ChatKind::Discord, &phrase("", &"*".repeat(1_500)));
        let content = said["content"].as_str().expect("a text");
        assert_eq!(content.chars().count(), 1_999, "a cut at 2,000 would split an escape");
        assert!(content.ends_with("\\*…"));
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
    }
}
