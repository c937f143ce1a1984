@description('Log Analytics workspace of Microsoft Sentinel.')
param workspaceName string

@description('Region of the data collection rule: that of the workspace.')
param location string = resourceGroup().location

@description('Name of the data collection rule.')
param ruleName string = 'dcr-cloudflare-email-security'

@description('Object id of the service principal or managed identity that sends; empty assigns no role.')
param principalId string = ''

resource workspace 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {
  name: workspaceName
}

resource table 'Microsoft.OperationalInsights/workspaces/tables@2022-10-01' = {
  parent: workspace
  name: 'CloudflareEmailSecurity_CL'
  properties: {
    plan: 'Analytics'
    schema: {
      name: 'CloudflareEmailSecurity_CL'
      columns: [
        { name: 'TimeGenerated', type: 'dateTime' }
        { name: 'EventUid', type: 'string' }
        { name: 'EventOriginalUid', type: 'string' }
        { name: 'EventType', type: 'string' }
        { name: 'EventCount', type: 'int' }
        { name: 'EventStartTime', type: 'dateTime' }
        { name: 'EventEndTime', type: 'dateTime' }
        { name: 'EventResult', type: 'string' }
        { name: 'EventResultDetails', type: 'string' }
        { name: 'EventOriginalResultDetails', type: 'string' }
        { name: 'EventSeverity', type: 'string' }
        { name: 'EventOriginalSeverity', type: 'string' }
        { name: 'EventOriginalType', type: 'string' }
        { name: 'EventMessage', type: 'string' }
        { name: 'EventReportUrl', type: 'string' }
        { name: 'EventVendor', type: 'string' }
        { name: 'EventProduct', type: 'string' }
        { name: 'EventSchema', type: 'string' }
        { name: 'EventSchemaVersion', type: 'string' }
        { name: 'Dvc', type: 'string' }
        { name: 'DvcScope', type: 'string' }
        { name: 'DvcScopeId', type: 'string' }
        { name: 'DvcAction', type: 'string' }
        { name: 'DvcOriginalAction', type: 'string' }
        { name: 'Src', type: 'string' }
        { name: 'SrcIpAddr', type: 'string' }
        { name: 'IpAddr', type: 'string' }
        { name: 'SrcIsp', type: 'string' }
        { name: 'SrcGeoCountry', type: 'string' }
        { name: 'Dst', type: 'string' }
        { name: 'EmailFromAddress', type: 'string' }
        { name: 'EmailFromDomain', type: 'string' }
        { name: 'EmailMailFromAddress', type: 'string' }
        { name: 'EmailMailFromDomain', type: 'string' }
        { name: 'EmailReplyToAddress', type: 'string' }
        { name: 'EmailReplyToDomain', type: 'string' }
        { name: 'EmailToRecipients', type: 'dynamic' }
        { name: 'EmailSubject', type: 'string' }
        { name: 'EmailProtocolName', type: 'string' }
        { name: 'EmailDirection', type: 'string' }
        { name: 'EmailDeliveryLocation', type: 'string' }
        { name: 'EmailFileCount', type: 'int' }
        { name: 'EmailFiles', type: 'dynamic' }
        { name: 'EmailUrlCount', type: 'int' }
        { name: 'EmailUrls', type: 'dynamic' }
        { name: 'EmailSpfResult', type: 'string' }
        { name: 'EmailSpfOriginalResult', type: 'string' }
        { name: 'EmailDkimResult', type: 'string' }
        { name: 'EmailDkimOriginalResult', type: 'string' }
        { name: 'EmailDmarcResult', type: 'string' }
        { name: 'EmailDmarcOriginalResult', type: 'string' }
        { name: 'RuleName', type: 'string' }
        { name: 'Rule', type: 'string' }
        { name: 'RuleDescription', type: 'string' }
        { name: 'ThreatName', type: 'string' }
        { name: 'ThreatCategory', type: 'string' }
        { name: 'ThreatOriginalCategory', type: 'string' }
        { name: 'ThreatRiskLevel', type: 'int' }
        { name: 'ThreatOriginalRiskLevel', type: 'string' }
        { name: 'ThreatOriginalConfidence', type: 'string' }
        { name: 'AttackTactics', type: 'string' }
        { name: 'AttackTechniques', type: 'string' }
        { name: 'AdditionalFields', type: 'dynamic' }
        { name: 'Operation', type: 'string' }
        { name: 'Object', type: 'string' }
        { name: 'ObjectType', type: 'string' }
        { name: 'ActorUsername', type: 'string' }
        { name: 'ActorUsernameType', type: 'string' }
        { name: 'User', type: 'string' }
      ]
    }
  }
}

resource rule 'Microsoft.Insights/dataCollectionRules@2023-03-11' = {
  name: ruleName
  location: location
  kind: 'Direct'
  properties: {
    streamDeclarations: {
      'Custom-CloudflareEmailSecurity_CL': {
        columns: [
          { name: 'TimeGenerated', type: 'datetime' }
          { name: 'EventUid', type: 'string' }
          { name: 'EventOriginalUid', type: 'string' }
          { name: 'EventType', type: 'string' }
          { name: 'EventCount', type: 'int' }
          { name: 'EventStartTime', type: 'datetime' }
          { name: 'EventEndTime', type: 'datetime' }
          { name: 'EventResult', type: 'string' }
          { name: 'EventResultDetails', type: 'string' }
          { name: 'EventOriginalResultDetails', type: 'string' }
          { name: 'EventSeverity', type: 'string' }
          { name: 'EventOriginalSeverity', type: 'string' }
          { name: 'EventOriginalType', type: 'string' }
          { name: 'EventMessage', type: 'string' }
          { name: 'EventReportUrl', type: 'string' }
          { name: 'EventVendor', type: 'string' }
          { name: 'EventProduct', type: 'string' }
          { name: 'EventSchema', type: 'string' }
          { name: 'EventSchemaVersion', type: 'string' }
          { name: 'Dvc', type: 'string' }
          { name: 'DvcScope', type: 'string' }
          { name: 'DvcScopeId', type: 'string' }
          { name: 'DvcAction', type: 'string' }
          { name: 'DvcOriginalAction', type: 'string' }
          { name: 'Src', type: 'string' }
          { name: 'SrcIpAddr', type: 'string' }
          { name: 'IpAddr', type: 'string' }
          { name: 'SrcIsp', type: 'string' }
          { name: 'SrcGeoCountry', type: 'string' }
          { name: 'Dst', type: 'string' }
          { name: 'EmailFromAddress', type: 'string' }
          { name: 'EmailFromDomain', type: 'string' }
          { name: 'EmailMailFromAddress', type: 'string' }
          { name: 'EmailMailFromDomain', type: 'string' }
          { name: 'EmailReplyToAddress', type: 'string' }
          { name: 'EmailReplyToDomain', type: 'string' }
          { name: 'EmailToRecipients', type: 'dynamic' }
          { name: 'EmailSubject', type: 'string' }
          { name: 'EmailProtocolName', type: 'string' }
          { name: 'EmailDirection', type: 'string' }
          { name: 'EmailDeliveryLocation', type: 'string' }
          { name: 'EmailFileCount', type: 'int' }
          { name: 'EmailFiles', type: 'dynamic' }
          { name: 'EmailUrlCount', type: 'int' }
          { name: 'EmailUrls', type: 'dynamic' }
          { name: 'EmailSpfResult', type: 'string' }
          { name: 'EmailSpfOriginalResult', type: 'string' }
          { name: 'EmailDkimResult', type: 'string' }
          { name: 'EmailDkimOriginalResult', type: 'string' }
          { name: 'EmailDmarcResult', type: 'string' }
          { name: 'EmailDmarcOriginalResult', type: 'string' }
          { name: 'RuleName', type: 'string' }
          { name: 'Rule', type: 'string' }
          { name: 'RuleDescription', type: 'string' }
          { name: 'ThreatName', type: 'string' }
          { name: 'ThreatCategory', type: 'string' }
          { name: 'ThreatOriginalCategory', type: 'string' }
          { name: 'ThreatRiskLevel', type: 'int' }
          { name: 'ThreatOriginalRiskLevel', type: 'string' }
          { name: 'ThreatOriginalConfidence', type: 'string' }
          { name: 'AttackTactics', type: 'string' }
          { name: 'AttackTechniques', type: 'string' }
          { name: 'AdditionalFields', type: 'dynamic' }
          { name: 'Operation', type: 'string' }
          { name: 'Object', type: 'string' }
          { name: 'ObjectType', type: 'string' }
          { name: 'ActorUsername', type: 'string' }
          { name: 'ActorUsernameType', type: 'string' }
          { name: 'User', type: 'string' }
        ]
      }
    }
    destinations: {
      logAnalytics: [
        {
          name: 'workspace'
          workspaceResourceId: workspace.id
        }
      ]
    }
    dataFlows: [
      {
        streams: [
          'Custom-CloudflareEmailSecurity_CL'
        ]
        destinations: [
          'workspace'
        ]
        transformKql: 'source'
        outputStream: 'Custom-CloudflareEmailSecurity_CL'
      }
    ]
  }
  dependsOn: [
    table
  ]
}

resource publisher 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(principalId)) {
  scope: rule
  name: guid(rule.id, principalId, '3913510d-42f4-4e42-8a64-420c390055eb')
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '3913510d-42f4-4e42-8a64-420c390055eb')
  }
}

@description('Immutable id: the setting rule of the output.')
output rule string = rule.properties.immutableId

@description('Logs ingestion endpoint: the setting url of the output.')
output url string = rule.properties.endpoints.logsIngestion
