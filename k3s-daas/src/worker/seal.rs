//! Follows the machine's seal.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cri_shim::standing::{
    ChainReader, Follower, FollowerSettings, StandingMetrics, Standings, Store,
};
use prometheus_client::registry::Registry;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::SealSettings;
use crate::causes::in_one_line;
use crate::chain::Chain;
use crate::commands::stake::read_token;
use crate::failure::Outcome;

/// A look at the chain may take this long.
const WITHIN: Duration = Duration::from_secs(8);

pub(super) fn follow(
    settings: &SealSettings,
    state_dir: &Path,
    wake: &Arc<Notify>,
    registry: &mut Registry,
) -> Outcome<(Standings, AbortOnDropHandle<()>)> {
    let chain = Chain::reading(settings.ids.clone(), WITHIN)?;
    let reader = ChainReader::new(chain.client().clone(), settings.ids.clone());
    let following = FollowerSettings {
        every: settings.every,
        within: WITHIN,
        store: Store::in_folder(state_dir),
        wake: Arc::clone(wake),
    };
    let metrics = StandingMetrics::register(registry);
    let (follower, standings) = Follower::new(following, metrics);
    let token_file = settings.token_file.clone();
    let hash = move || {
        if !token_file.exists() {
            return Err(format!(
                "there is no seal token in {} yet",
                token_file.display()
            ));
        }
        let token = read_token(&token_file);
        let token = token.map_err(|failure| in_one_line(failure.cause.as_ref()))?;
        Ok(token.credential_hash())
    };
    let task = tokio::spawn(async move { follower.run(reader, hash).await });
    Ok((standings, AbortOnDropHandle::new(task)))
}
