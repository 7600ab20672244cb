//! An error with its causes, in words for people.
//!
//! Why: many libraries repeat a cause in the text of what it caused, and kube's errors show the
//!      whole answer of the API server as code.

use std::error::Error;

/// What an error and its causes say, outermost first, nothing twice.
pub fn causes(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = if let Some(answer) = api_answer(error) {
            // Its own cause is that answer again.
            next = None;
            answer
        } else {
            next = error.source();
            error.to_string()
        };
        if !told.last().is_some_and(|last| last.ends_with(&text)) {
            told.push(text);
        }
    }
    told
}

/// The same in one line.
pub fn in_one_line(error: &(dyn Error + 'static)) -> String {
    causes(error).join(": ")
}

/// What the API server answered, with its code and reason.
fn api_answer(error: &(dyn Error + 'static)) -> Option<String> {
    let boxed = error.downcast_ref::<Box<kube::Error>>().map(AsRef::as_ref);
    let kube::Error::Api(status) = boxed.or_else(|| error.downcast_ref())? else {
        return None;
    };
    let message = match status.message.trim() {
        "" => "the API server gave no reason",
        message => message,
    };
    let code = format!("{} {}", status.code, status.reason);
    Some(format!("{message} ({})", code.trim()))
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("it was not done")]
    struct NotDone(#[source] Box<kube::Error>);

    fn forbidden(message: &str) -> kube::Error {
        kube::Error::Api(Status::failure(message, "Forbidden").with_code(403).boxed())
    }

    #[test]
    fn an_answer_of_the_api_server_is_told_once_and_in_its_words() {
        let error = forbidden("pods is forbidden: User \"u\" cannot list");
        let said = "pods is forbidden: User \"u\" cannot list (403 Forbidden)";
        assert_eq!(causes(&error), [said]);
        let error = NotDone(Box::new(error));
        assert_eq!(in_one_line(&error), format!("it was not done: {said}"));
        let silent = in_one_line(&forbidden(" "));
        assert_eq!(silent, "the API server gave no reason (403 Forbidden)");
    }

    #[test]
    fn a_cause_that_was_told_already_is_not_told_again() {
        let gone = std::io::Error::other("the socket is gone");
        let error = NotDone(Box::new(kube::Error::Service(gone.into())));
        assert_eq!(
            causes(&error),
            ["it was not done", "ServiceError: the socket is gone"]
        );
    }
}
