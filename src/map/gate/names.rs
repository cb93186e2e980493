//! Columns without a foreign key whose names say that they hold a reference.

use crate::map::format::kebab_case;

/// Words for a user.
const PEOPLE: &[&str] = &[
    "account",
    "actor",
    "assignee",
    "author",
    "clerk",
    "creator",
    "customer",
    "member",
    "owner",
    "profile",
    "recipient",
    "sender",
    "uploader",
    "user",
];
/// Words at the end of a name that mean an id.
const IDS: &[&str] = &["id", "uuid", "key"];
/// What stands before `_by` and names no person.
const NO_PEOPLE: &[&str] = &["sort", "order", "group", "filter"];

/// The words of a name in snake case or camel case, in lower case.
pub fn words(name: &str) -> Vec<String> {
    kebab_case(name).split('-').map(str::to_owned).collect()
}

/// Whether a column is named like a reference to a user: `user_id`, `ownerId`, `author`, `created_by`,
/// `assigned_to_clerk_id`.
pub fn names_a_user(column: &str) -> bool {
    let words = words(column);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [person] => PEOPLE.contains(&person),
        [.., person, id] if IDS.contains(&id) && PEOPLE.contains(&person) => true,
        [.., done, "by", id] if IDS.contains(&id) => !NO_PEOPLE.contains(&done),
        [.., done, "by"] => !NO_PEOPLE.contains(&done),
        _ => false,
    }
}

/// Whether a column is named after rows of a type, such as `asset_id` or `parentAssetUuid` after `asset`.
pub fn names_a_row(column: &str, type_name: &str) -> bool {
    let (words, of_type) = (words(column), words(type_name));
    match words.split_last() {
        Some((id, rest)) => {
            IDS.contains(&id.as_str()) && !of_type.is_empty() && rest.ends_with(&of_type)
        }
        None => false,
    }
}

/// The column that says what a polymorphic reference means, such as `entityType` beside `entityId`; none if the
/// column is no such reference.
pub fn type_beside<'n>(column: &str, others: &[&'n str]) -> Option<&'n str> {
    let column = words(column);
    let (id, rest) = column.split_last().filter(|(_, rest)| !rest.is_empty())?;
    let is_type_of_it = |other: &&&str| {
        let other = words(other);
        let last = other.last().is_some_and(|last| last == "type");
        last && other[..other.len() - 1] == *rest
    };
    let is_id = IDS.contains(&id.as_str());
    others.iter().find(is_type_of_it).filter(|_| is_id).copied()
}

/// Whether a column is named like one that names objects: `object_key`, `avatarUrl`, `s3Key`, `thumbnail_keys`.
pub fn names_an_object(column: &str) -> bool {
    const FILES: &[&str] = &[
        "attachment",
        "audio",
        "avatar",
        "banner",
        "blob",
        "cover",
        "document",
        "file",
        "icon",
        "image",
        "logo",
        "media",
        "object",
        "pdf",
        "photo",
        "picture",
        "preview",
        "receipt",
        "resume",
        "s3",
        "storage",
        "thumbnail",
        "video",
    ];
    const PLACES: &[&str] = &["key", "keys", "path", "paths", "url", "urls"];
    let words = words(column);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [.., file, place] => PLACES.contains(&place) && FILES.contains(&file),
        [file] => ["attachments", "avatar", "images", "photos"].contains(&file),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_users_are_recognised_in_both_cases() {
        for name in [
            "user_id",
            "userId",
            "owner",
            "author",
            "authorId",
            "created_by",
            "createdById",
            "clerk_id",
            "clerkUserId",
            "assigned_to_clerk_id",
            "workspace_owner_id",
            "bannedBy",
            "USER_ID",
            "customer_uuid",
        ] {
            assert!(names_a_user(name), "{name}");
        }
        for name in [
            "usage_id",
            "name",
            "sort_by",
            "orderBy",
            "users_count",
            "by",
            "user_agent",
            "account_name",
            "",
        ] {
            assert!(!names_a_user(name), "{name}");
        }
    }

    #[test]
    fn names_of_rows_end_in_their_type() {
        assert!(names_a_row("asset_id", "asset") && names_a_row("parentAssetUuid", "asset"));
        assert!(names_a_row("sampleImageId", "sample-image"));
        assert!(!names_a_row("asset", "asset") && !names_a_row("dataset_id", "asset"));
    }

    #[test]
    fn a_polymorphic_reference_is_an_id_beside_a_type() {
        let beside = |column, others: &[&'static str]| type_beside(column, others);
        assert_eq!(
            beside("entityId", &["id", "entityType"]),
            Some("entityType")
        );
        assert_eq!(beside("record_id", &["record_type"]), Some("record_type"));
        assert_eq!(beside("id", &["type"]), None);
        assert_eq!(beside("entity_id", &["record_type"]), None);
    }

    #[test]
    fn names_of_objects_say_what_they_hold_and_where() {
        for name in [
            "object_key",
            "avatarUrl",
            "s3Key",
            "thumbnail_keys",
            "attachments",
            "resume_url",
            "cover_image_path",
        ] {
            assert!(names_an_object(name), "{name}");
        }
        for name in ["key", "url", "api_key", "website_url", "image_count"] {
            assert!(!names_an_object(name), "{name}");
        }
    }
}
