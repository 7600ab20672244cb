//! Being let in as somebody else: credentials that are none, and headers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use seal::access::Silence::NotGranted;
use serde_json::{Value, json};

use super::{BELOW_SUPER, Tried, WORKERS};
use crate::attempt::Attempt;
use crate::client::{Answer, Client};
use crate::stopper::{Stopper, denied, silent};

ways! {
    "no credential at all", BELOW_SUPER => anonymous;
    "the join credential at the API", BELOW_SUPER => join_credential;
    "the credential's hash instead of the token", BELOW_SUPER => hash;
    "other spellings of the token", BELOW_SUPER => spellings;
    "the token in the query or in a cookie", BELOW_SUPER => query;
    "the token as basic authentication", BELOW_SUPER => basic;
    "the headers of a front proxy", BELOW_SUPER => front_proxy;
    "two Authorization headers", BELOW_SUPER => two_headers;
    "a websocket's bearer protocol", BELOW_SUPER => websocket;
    "a tenant's group in a client's own words", BELOW_SUPER => groups;
    "TokenReview and SubjectAccessReview as oracles", BELOW_SUPER => oracles;
    "access reviews about others in one's own namespace", WORKERS => local_review;
    "paths of the API server that are no objects", BELOW_SUPER => paths;
}

const SYSTEM_SECRETS: &str = "/api/v1/namespaces/kube-system/secrets";
const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

fn token(t: &Attempt<'_>) -> String {
    t.me().token.reveal().as_str().to_owned()
}

/// Nobody by this name is let in.
async fn unknown(t: &Attempt<'_>, client: &Client) -> anyhow::Result<Answer> {
    let answer = client.get("/api/v1/nodes").await?;
    t.stopped(&answer, &Stopper::Authentication);
    t.treasure_is_safe(client).await?;
    Ok(answer)
}

async fn who(client: &Client) -> anyhow::Result<Answer> {
    client.post(WHO, &json!({})).await
}

async fn anonymous(t: &Attempt<'_>) -> Tried {
    let nobody = t.stage.anonymous.nobody();
    unknown(t, &nobody).await?;
    for path in ["/version", "/metrics", "/api", "/openapi/v2"] {
        t.refused(&nobody, path).await?;
    }
    Ok(())
}

async fn join_credential(t: &Attempt<'_>) -> Tried {
    let join = t.me().token.join_credential();
    let join = join.reveal();
    let join = join.as_str();
    for text in [join.to_owned(), format!("K10{}::{join}", "0".repeat(64))] {
        unknown(t, &t.stage.anonymous.bearer(&text)).await?;
    }
    Ok(())
}

async fn hash(t: &Attempt<'_>) -> Tried {
    let hash = t.me().token.credential_hash().to_string();
    unknown(t, &t.stage.anonymous.bearer(&hash)).await?;
    let bare = hash.trim_start_matches("0x");
    unknown(t, &t.stage.anonymous.bearer(bare)).await.map(drop)
}

async fn spellings(t: &Attempt<'_>) -> Tried {
    let token = token(t);
    for text in [
        token.to_uppercase(),
        format!("{token}0"),
        format!("{token}="),
        format!("\"{token}\""),
        format!("{token},{token}"),
        token.chars().rev().collect(),
        token.trim_start_matches("seal_").to_owned(),
    ] {
        if text != token {
            unknown(t, &t.stage.anonymous.bearer(&text)).await?;
        }
    }
    Ok(())
}

async fn query(t: &Attempt<'_>) -> Tried {
    let nobody = t.stage.anonymous.nobody();
    let token = token(t);
    for path in [
        format!("/api/v1/nodes?access_token={token}"),
        format!("/api/v1/nodes?token={token}"),
    ] {
        t.stopped(&nobody.get(&path).await?, &Stopper::Authentication);
    }
    unknown(t, &nobody.header("Cookie", &format!("token={token}")))
        .await
        .map(drop)
}

async fn basic(t: &Attempt<'_>) -> Tried {
    let pair = format!("{}:{}", t.me().user(), token(t));
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    let basic = format!("Basic {encoded}");
    unknown(t, &t.stage.anonymous.header("Authorization", &basic))
        .await
        .map(drop)
}

const MASTERS: [(&str, &str); 3] = [
    ("X-Remote-User", "system:admin"),
    ("X-Remote-Group", "system:masters"),
    ("X-Remote-Uid", "0"),
];

async fn front_proxy(t: &Attempt<'_>) -> Tried {
    let mut nobody = t.stage.anonymous.nobody();
    let mut me = t.client().clone();
    for (name, value) in MASTERS {
        nobody = nobody.header(name, value);
        me = me.header(name, value);
    }
    unknown(t, &nobody).await?;
    let hash = t.stage.super_.token.credential_hash().to_string();
    me = me
        .header("X-Remote-Extra-k3s-daas.io%2Fcredential-hash", &hash)
        .header("X-Forwarded-For", "127.0.0.1");
    let whoami = who(&me).await?;
    t.works(&whoami);
    let user = whoami.field("/status/userInfo/username");
    t.proof(
        *user == t.me().user(),
        "the API server still knows it by its own name",
    );
    let groups = whoami.field("/status/userInfo/groups").to_string();
    t.proof(!groups.contains("masters"), "and by its own groups");
    t.treasure_is_safe(&me).await
}

async fn two_headers(t: &Attempt<'_>) -> Tried {
    let garbage = "Bearer garbage";
    let first = t.stage.anonymous.header("Authorization", garbage);
    let garbage_first = first.header("Authorization", &format!("Bearer {}", token(t)));
    t.stopped(
        &garbage_first.raw("/api/v1/nodes").await?,
        &Stopper::Authentication,
    );
    let garbage_last = t.client().header("Authorization", garbage);
    let answer = garbage_last.raw(SYSTEM_SECRETS).await?;
    t.proof(
        matches!(answer.status, 400 | 401 | 403),
        "the first counts, and gives its own rights alone",
    );
    t.treasure_is_safe(&garbage_last).await
}

async fn websocket(t: &Attempt<'_>) -> Tried {
    let with = |text: &str| {
        let encoded = URL_SAFE_NO_PAD.encode(text);
        let protocol =
            format!("base64url.bearer.authorization.k8s.io.{encoded}, v4.channel.k8s.io");
        let mut client = t.stage.anonymous.nobody();
        for (name, value) in [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Protocol", protocol.as_str()),
        ] {
            client = client.header(name, value);
        }
        client
    };
    let join = t.me().token.join_credential();
    let refused = with(join.reveal().as_str()).raw("/api/v1/nodes").await?;
    t.stopped(&refused, &Stopper::Authentication);
    // The token itself is good here too, and is judged as ever.
    let own = with(&token(t));
    let exec = "/api/v1/namespaces/kube-system/pods/coredns/exec?command=id";
    let answer = own.raw(exec).await?;
    t.stopped(&answer, &denied(seal::access::DenyReason::ProtectedExec));
    let answer = own.raw(&format!("{SYSTEM_SECRETS}?watch=1")).await?;
    t.stopped(&answer, &denied(seal::access::DenyReason::ProtectedSecrets));
    t.proof(answer.status == 403, "the watch does not open");
    Ok(())
}

/// What a tenant is, the chain says: nothing that a client sends.
async fn groups(t: &Attempt<'_>) -> Tried {
    let me = t
        .client()
        .header("X-Remote-Group", "seal:tier:super")
        .header("X-Remote-Extra-k3s-daas.io%2Ftier", "super");
    let whoami = who(&me).await?;
    t.works(&whoami);
    let groups = whoami.field("/status/userInfo/groups").to_string();
    t.proof(
        !groups.contains("super"),
        "its groups are those of its tier",
    );
    let answer = me.get(SYSTEM_SECRETS).await?;
    t.stopped(&answer, &denied(seal::access::DenyReason::ProtectedSecrets));
    Ok(())
}

async fn oracles(t: &Attempt<'_>) -> Tried {
    let review = json!({"spec": {"token": t.stage.super_.token.reveal().as_str()}});
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let answer = t.post(path, review, silent(NotGranted)).await?;
    t.proof(
        answer.field("/status/user").is_null(),
        "the answer tells nothing",
    );
    let review = json!({"spec": {
        "user": "system:admin", "groups": ["system:masters"],
        "resourceAttributes": {"verb": "*", "resource": "*", "group": "*"},
    }});
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let answer = t.post(path, review, silent(NotGranted)).await?;
    t.proof(
        answer.field("/status").get("allowed").is_none(),
        "the answer tells nothing",
    );
    Ok(())
}

/// The ClusterRole `admin` has it: what others may do in one's own namespace is no secret.
async fn local_review(t: &Attempt<'_>) -> Tried {
    let review = |namespace: &str| {
        json!({
            "metadata": {"namespace": namespace},
            "spec": {
                "user": "system:serviceaccount:kube-system:the-operator",
                "resourceAttributes": {
                    "verb": "get", "resource": "secrets", "namespace": namespace,
                },
            },
        })
    };
    let path = |namespace: &str| {
        format!("/apis/authorization.k8s.io/v1/namespaces/{namespace}/localsubjectaccessreviews")
    };
    let own = t.client().post(&path(t.home()), &review(t.home())).await?;
    t.works(&own);
    let answer = t
        .post(
            &path("kube-system"),
            review("kube-system"),
            denied(seal::access::DenyReason::ProtectedWrite),
        )
        .await?;
    t.proof(
        answer.field("/status").get("allowed").is_none(),
        "nothing is told of other namespaces",
    );
    // One namespace in the path and another in the body.
    let crossed = t
        .client()
        .post(&path(t.home()), &review("kube-system"))
        .await?;
    t.stopped(&crossed, &Stopper::Validation);
    Ok(())
}

async fn paths(t: &Attempt<'_>) -> Tried {
    for path in [
        "/metrics",
        "/metrics/slis",
        "/debug/pprof/",
        "/debug/pprof/heap",
        "/debug/flags/v",
        "/logs/",
        "/configz",
        "/statusz",
        "/flagz",
        "/.well-known/openid-configuration",
        "/openid/v1/jwks",
    ] {
        let answer = t.client().get(path).await?;
        // Kubernetes shows its issuer's keys to service accounts, and by that to nobody else.
        t.stopped(&answer, &silent(NotGranted));
    }
    let answer = t
        .client()
        .send(
            reqwest::Method::PUT,
            "/debug/flags/v",
            Some(&Value::from(9)),
        )
        .await?;
    t.stopped(&answer, &silent(NotGranted));
    t.proof(!answer.ok(), "the log level stays as it is");
    Ok(())
}
