//! `Settings`: service settings, of the parameter store and of activations. There are no others yet.

use std::sync::Arc;

use muster_model::Clock;
use muster_proto::parameterstore::v1::ParameterTier;
use muster_proto::settings::v1::settings_server::Settings;
use muster_proto::settings::v1::{
    GetServiceSettingRequest, GetServiceSettingResult, ResetServiceSettingRequest, ResetServiceSettingResult,
    ServiceSetting, UpdateServiceSettingRequest, UpdateServiceSettingResult,
};
use muster_store::Db;
use muster_wire::{Caller, Failure};
use tonic::{Request, Response, Status};

use super::view;
use crate::domain::scope::Scope;
use crate::domain::setting::Setting;
use crate::error::from_store;
use crate::store::setting;

/// Keeps settings.
#[derive(Debug)]
pub(crate) struct SettingsApi {
    db: Db,
    scope: Scope,
    clock: Arc<dyn Clock>,
    /// What the configuration says.
    default_tier: ParameterTier,
}

impl SettingsApi {
    pub(crate) fn new(db: Db, scope: Scope, clock: Arc<dyn Clock>, default_tier: ParameterTier) -> Self {
        Self {
            db,
            scope,
            clock,
            default_tier,
        }
    }

    fn parse(&self, id: Option<&str>) -> Result<Setting, Failure> {
        Ok(Setting::parse(id.unwrap_or_default(), &self.scope)?)
    }

    async fn shown(&self, setting: Setting) -> Result<ServiceSetting, Failure> {
        let row = setting::find(&self.db, setting).await.map_err(from_store)?;
        let shown = ServiceSetting {
            setting_id: Some(setting.id().to_owned()),
            arn: Some(self.scope.setting_arn(setting.id())),
            ..ServiceSetting::default()
        };
        Ok(match row {
            None => ServiceSetting {
                setting_value: Some(setting.default_value(self.default_tier).to_owned()),
                status: Some("Default".to_owned()),
                ..shown
            },
            Some(row) => ServiceSetting {
                setting_value: Some(row.value),
                last_modified_date: Some(view::time(row.modified_at)),
                last_modified_user: Some(row.modified_by),
                status: Some("Customized".to_owned()),
                ..shown
            },
        })
    }

    async fn update(&self, request: UpdateServiceSettingRequest, by: &str) -> Result<(), Failure> {
        let setting = self.parse(request.setting_id.as_deref())?;
        let value = request.setting_value.unwrap_or_default();
        setting.check(&value)?;
        let now = self.clock.now().as_microsecond();
        setting::set(&self.db, setting, &value, by, now)
            .await
            .map_err(from_store)
    }

    async fn reset(&self, id: Option<&str>) -> Result<ServiceSetting, Failure> {
        let setting = self.parse(id)?;
        setting::reset(&self.db, setting).await.map_err(from_store)?;
        self.shown(setting).await
    }
}

#[tonic::async_trait]
impl Settings for SettingsApi {
    async fn get_service_setting(
        &self,
        request: Request<GetServiceSettingRequest>,
    ) -> Result<Response<GetServiceSettingResult>, Status> {
        let setting = self.parse(request.get_ref().setting_id.as_deref())?;
        let service_setting = Some(self.shown(setting).await?);
        Ok(Response::new(GetServiceSettingResult { service_setting }))
    }

    async fn update_service_setting(
        &self,
        request: Request<UpdateServiceSettingRequest>,
    ) -> Result<Response<UpdateServiceSettingResult>, Status> {
        let by = Caller::of(&request)?.principal.to_string();
        self.update(request.into_inner(), &by).await?;
        Ok(Response::new(UpdateServiceSettingResult {}))
    }

    async fn reset_service_setting(
        &self,
        request: Request<ResetServiceSettingRequest>,
    ) -> Result<Response<ResetServiceSettingResult>, Status> {
        let service_setting = Some(self.reset(request.get_ref().setting_id.as_deref()).await?);
        Ok(Response::new(ResetServiceSettingResult { service_setting }))
    }
}
