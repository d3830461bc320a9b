//! One caller's policies for one RPC, evaluated account by account.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cedar_policy::entities_errors::EntitiesError;
use cedar_policy::{
    ActionConstraint, Authorizer as Evaluator, Context, Decision, Effect, Entities, EntityUid,
    Policy, PolicySet, PrincipalConstraint, Request,
};

use super::Denial;
use super::entities::{account_uid, caller_uid, group_uids, with_caller};
use super::question::{Aspect, Question, Rpc};
use crate::caller::Caller;
use crate::plan::Inventory;
use crate::query::AccountId;

/// Decides what one caller may ask through one RPC.
pub(super) struct Judge {
    evaluator: Evaluator,
    /// The policies whose principal and action are the caller and the RPC: no other can hold. None of
    /// them where none permits anything.
    policies: PolicySet,
    principal: EntityUid,
    action: EntityUid,
    rpc: Rpc,
    /// The inventory's accounts and the caller.
    entities: Entities,
    inventory: Arc<Inventory>,
    visible: OnceLock<Arc<Inventory>>,
    /// The question asked last and what it was answered: pages and resumed searches ask it again.
    last: Mutex<Option<(Question, Arc<Inventory>)>>,
}

/// Why a question is denied is looked for in so many accounts: what differs between them is places.
const LOOKED_INTO: usize = 200;

impl Judge {
    pub fn new(
        policies: &PolicySet,
        caller: &Caller,
        rpc: Rpc,
        accounts: &Entities,
        inventory: Arc<Inventory>,
    ) -> Result<Self, Box<EntitiesError>> {
        let principal = caller_uid(caller);
        let action = rpc.action();
        let mut own: BTreeSet<EntityUid> = group_uids(caller).into_iter().collect();
        own.insert(principal.clone());
        let concerning = policies
            .policies()
            .filter(|policy| is_of(policy, &own) && is_about(policy, &action));
        let mut concerning: Vec<Policy> = concerning.cloned().collect();
        if !(concerning.iter()).any(|policy| policy.effect() == Effect::Permit) {
            concerning.clear();
        }
        // Whoever has nothing costs nothing.
        let entities = if concerning.is_empty() {
            Entities::empty()
        } else {
            with_caller(accounts, caller)?
        };
        Ok(Self {
            evaluator: Evaluator::new(),
            policies: PolicySet::from_policies(concerning)
                .expect("they are of one set, without templates"),
            principal,
            action,
            rpc,
            entities,
            inventory,
            visible: OnceLock::new(),
            last: Mutex::default(),
        })
    }

    /// The accounts about which this question is allowed.
    pub fn permitted(&self, question: &Question) -> Arc<Inventory> {
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last().clone();
        if let Some((_, permitted)) = known.filter(|(asked, _)| asked == question) {
            return permitted;
        }
        let context = question.context();
        let permitted = self.narrowed(|account| self.permits(account, &context));
        *last() = Some((question.clone(), Arc::clone(&permitted)));
        permitted
    }

    /// The accounts about which some question is allowed: those that the caller may know of.
    pub fn visible(&self) -> &Arc<Inventory> {
        self.visible.get_or_init(|| {
            let least = Question::least(self.rpc);
            let any: Vec<Context> = (std::iter::once(&least))
                .chain(&least.others(&Aspect::ALL))
                .map(Question::context)
                .collect();
            self.narrowed(|account| any.iter().any(|context| self.permits(account, context)))
        })
    }

    /// Why `question` is denied about all of `accounts`, which are visible: the one aspect without
    /// which it would be allowed about some of them, if there is one.
    pub fn why_denied(&self, question: &Question, accounts: &[AccountId]) -> Denial {
        let turns_on = |aspect: &Aspect| {
            let others = question.others(&[*aspect]);
            let contexts: Vec<Context> = others.iter().map(Question::context).collect();
            (accounts.iter().take(LOOKED_INTO)).any(|account| {
                contexts
                    .iter()
                    .any(|context| self.permits(*account, context))
            })
        };
        match Aspect::ALL.into_iter().find(turns_on) {
            Some(aspect) => Denial::Aspect(self.rpc, aspect),
            None => Denial::Question(self.rpc),
        }
    }

    fn narrowed(&self, permits: impl Fn(AccountId) -> bool) -> Arc<Inventory> {
        let all = &self.inventory;
        let accounts = all.accounts.iter().filter(|account| permits(account.id));
        let accounts: Vec<_> = accounts.cloned().collect();
        let left_out = all.left_out.iter().filter(|account| permits(account.id));
        let left_out: Vec<_> = left_out.cloned().collect();
        if accounts.len() == all.accounts.len() && left_out.len() == all.left_out.len() {
            return Arc::clone(all);
        }
        Arc::new(Inventory {
            accounts,
            left_out,
            discovered_at: all.discovered_at,
        })
    }

    fn permits(&self, account: AccountId, context: &Context) -> bool {
        if self.policies.is_empty() {
            return false;
        }
        let request = Request::new(
            self.principal.clone(),
            self.action.clone(),
            account_uid(account),
            context.clone(),
            None,
        );
        let Ok(request) = request else {
            // Only a request that is held against a schema can be wrong.
            return false;
        };
        let response = self
            .evaluator
            .is_authorized(&request, &self.policies, &self.entities);
        // Cedar skips a policy that it cannot evaluate: a forbid too.
        let mut errors = response.diagnostics().errors();
        if let Some(error) = errors.next() {
            tracing::error!(%account, principal = %self.principal, "denied, for a policy cannot be evaluated: {error}");
            return false;
        }
        response.decision() == Decision::Allow
    }
}

/// Whether the policy's principal is one of `own`: the caller or its groups.
fn is_of(policy: &Policy, own: &BTreeSet<EntityUid>) -> bool {
    match policy.principal_constraint() {
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => true,
        PrincipalConstraint::In(principal)
        | PrincipalConstraint::Eq(principal)
        | PrincipalConstraint::IsIn(_, principal) => own.contains(&principal),
    }
}

fn is_about(policy: &Policy, action: &EntityUid) -> bool {
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::In(actions) => actions.contains(action),
        ActionConstraint::Eq(only) => only == *action,
    }
}
