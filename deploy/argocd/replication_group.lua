-- Health of a ReplicationGroup for Argo CD. Healthy: a primary accepts writes and the Service leads to it.
-- Lua 5.1 with the base library only, as Argo CD runs it; `obj` is the live object.

local health = {status = "Progressing", message = "waiting for the operator"}

-- What only a person can end: the group does not go on by itself.
local needs_help = {NoPromotableReplica = true, SeveralDatasets = true}

local function condition(name)
  for _, c in ipairs(obj.status.conditions or {}) do
    if c.type == name then return c end
  end
  return {status = "Unknown", reason = "", message = ""}
end

if obj.metadata.deletionTimestamp ~= nil then
  health.message = "is being deleted"
  return health
end
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return health
end

local stalled, ready, degraded = condition("Stalled"), condition("Ready"), condition("Degraded")
local proof = condition("WaitingForProofOfDeath")
if stalled.status == "True" then
  health.status, health.message = "Degraded", stalled.message
elseif proof.status == "True" then
  health.status, health.message = "Degraded", proof.message
elseif ready.status == "True" then
  health.status, health.message = "Healthy", ready.message
  if degraded.status == "True" then
    -- A switchover that waits leaves everything as it was.
    if degraded.reason ~= "SwitchoverBlocked" then health.status = "Degraded" end
    health.message = degraded.message
  end
elseif ready.status == "False" then
  if needs_help[ready.reason] then health.status = "Degraded" end
  health.message = ready.message
end
return health
