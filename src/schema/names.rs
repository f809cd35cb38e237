//! The names that a schema lists, so that an editor completes them.

/// The names that a file may use. If a list is empty, its names are not known and any name is valid.
#[derive(Clone, Debug, Default)]
pub struct SchemaNames {
    /// Status names beyond the documented ones.
    pub statuses: Vec<String>,
    /// Processing status names beyond the documented ones.
    pub processing: Vec<String>,
    pub webhooks: Vec<String>,
    pub chats: Vec<String>,
    pub attributes: Vec<String>,
    pub templates: Vec<String>,
    /// The ids of rules.
    pub rules: Vec<String>,
    /// Document and label codes. Other codes are valid, too.
    pub codes: Vec<String>,
    /// Tags. Other tags are valid, too.
    pub tags: Vec<String>,
    /// Whether the schema must stay valid when templates, targets or rules are added later: the editor completes known
    /// names, and other names are valid.
    pub growing: bool,
}
