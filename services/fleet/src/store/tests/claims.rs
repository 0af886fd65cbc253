//! Machines that want to be nodes, and an operator's leave.

use muster_store::StoreError;

use super::{databases, machine, node};
use crate::store::claim::{self, Leave};
use crate::store::identity::{doubt, of_nodes};
use crate::store::node::deregister;

#[tokio::test]
async fn the_newest_claims_of_a_node_are_kept_and_leave_is_for_one() {
    for fresh in databases().await {
        let db = &fresh.db;
        let id = node(db, machine("a", &[])).await;
        let other = node(db, machine("b", &[])).await;
        for time in 0..12 {
            let print = format!("f{time:02}");
            let asked = doubt(db, &[(&id, &print), (&other, "x")], time).await.unwrap();
            assert_eq!(asked.len(), if time == 0 { 2 } else { 0 }, "an operator is asked once");
        }
        let claims = claim::all(db).await.unwrap();
        let of = |id: &str| -> Vec<String> {
            let own = claims.iter().filter(|claim| claim.node_id == id);
            own.map(|claim| claim.fingerprint.clone()).collect()
        };
        let expected: Vec<String> = (4..12).rev().map(|time| format!("f{time:02}")).collect();
        assert_eq!((of(&id), of(&other)), (expected.clone(), vec!["x".to_owned()]));

        for wrong in ["", "f00", "x"] {
            let leave = claim::approve(db, &id, wrong).await.unwrap();
            assert_eq!(leave, Leave::NoSuchClaim(expected.clone()), "{wrong:?}");
        }
        assert_eq!(claim::approve(db, &id, "f07").await.unwrap(), Leave::Given);
        let known = of_nodes(db, &[id.as_str()]).await.unwrap().remove(&id).unwrap();
        assert_eq!((known.approved.as_str(), known.concern.as_str()), ("f07", ""));
        // It was answered: nobody asks any more.
        assert!(claim::all(db).await.unwrap().iter().all(|claim| claim.node_id == other));

        deregister(db, &other, 20).await.unwrap();
        assert_eq!(claim::all(db).await.unwrap(), []);
        let gone = claim::approve(db, &other, "x").await;
        assert!(matches!(gone, Err(StoreError::Missing)));
    }
}
