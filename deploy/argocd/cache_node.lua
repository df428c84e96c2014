-- Health of a CacheCluster or a ReadReplica for Argo CD. Healthy: it does what its role asks for.
-- Lua 5.1 with the base library only, as Argo CD runs it; `obj` is the live object.

local health = {status = "Progressing", message = "waiting for the operator"}

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

local stalled, ready = condition("Stalled"), condition("Ready")
if stalled.status == "True" then
  health.status, health.message = "Degraded", stalled.message
elseif ready.status == "True" then
  health.status, health.message = "Healthy", ready.message
elseif ready.status == "False" then
  if ready.reason == "ContainerFailing" or ready.reason == "Unreachable" then health.status = "Degraded" end
  health.message = ready.message
end
return health
